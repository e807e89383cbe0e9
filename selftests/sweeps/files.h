/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel calls: files and sysfs. Part of faults.c. */

/* ---- open, close, poll, exit */

static int call_open_control(struct sweep *s)
{
	s->file = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? errno : 0;
}

static void check_open_control(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		close_file(s);
	open_file(_metadata, s);
	close_file(s);
}

static void prepare_open_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	kb_daemon_leave(&s->kb);
	issue(_metadata, s, 2);
}

static int call_open_daemon(struct sweep *s)
{
	s->file = open("/dev/kextd", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? errno : 0;
}

static void check_open_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(!s->err, s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	if (s->err)
		s->file = kb_open_daemon();
	s->kb.daemon = s->file;
	s->file = -1;
	ASSERT_LE(0, s->kb.daemon) TH_LOG("the role is not free");
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	answer_all(_metadata, s);
}

static void prepare_open_second(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
}

static void check_open_second(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_NE(0, s->err);
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	answer_all(_metadata, s);
}

/* In its hands: two requests, a load, a notice. Not yet: one request. */
static void prepare_close_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	uint64_t dummy = 0;

	ASSERT_EQ(kOSKextReturnDeferred, kb_kpi_load(&s->kb, "com.example.absent"));
	issue(_metadata, s, 4);
	fetch(_metadata, s, 4);
	ASSERT_EQ(0, kb_cancel(&s->kb, A, s->tags[0], &dummy));
	s->got_count = 0;
}

static int call_close_daemon(struct sweep *s)
{
	int err = close(s->kb.daemon) ? errno : 0;

	s->kb.daemon = -1;
	return err;
}

/* The next one has all of it, without the notice, in order; what was in hand comes alone. */
static void check_close_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_FALSE(s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(4, s->after.pending);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	for (uint32_t i = 0; i < 4; i++) {
		fetch(_metadata, s, 1);
		EXPECT_EQ(i ? KEXTD_RESOURCE : KEXTD_LOAD, s->got[i].kind);
		EXPECT_TRUE(!i || s->tags[i] == (uint32_t)s->got[i].id);
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, kOSReturnSuccess));
		if (i)
			expect_callback(_metadata, s, i, kOSReturnSuccess);
	}
}

/* The daemon's process ends instead. */
static int call_exit(struct sweep *s)
{
	char path[64], text[32] = {};
	siginfo_t info;
	pid_t child;
	int fd;

	kb_daemon_leave(&s->kb);
	child = fork();
	if (!child) {
		static struct kb_record record;

		s->kb.daemon = kb_open_daemon();
		if (s->kb.daemon < 0 || open("/dev/kextbridge", O_RDWR) < 0)
			_exit(1);
		for (int i = 0; i < 2; i++)
			if (kb_fetch(s->kb.daemon, &record, 10000))
				_exit(2);
		inject_begin_child();
		inject_arm(INJECT_ONE, s->point);
		_exit(0);
	}
	/* What is left of the count is seen while it is a zombie. */
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fail-nth", child, child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	s->hit = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && !strtoul(text, NULL, 10);
	close(fd);
	waitid(P_PID, child, &info, WEXITED);
	return fd < 0 ? EBADF : info.si_code == CLD_EXITED ? info.si_status : EINTR;
}

static void prepare_exit(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 3);
}

static void check_exit(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_FALSE(s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(3, s->after.pending);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	for (uint32_t i = 0; i < 3; i++) {
		fetch(_metadata, s, 1);
		EXPECT_EQ(s->tags[i], (uint32_t)s->got[i].id);
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, kOSReturnSuccess));
		expect_callback(_metadata, s, i, kOSReturnSuccess);
	}
}

static void program_request(struct __test_metadata *_metadata, struct sweep *s)
{
	request_args(s, 0);
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request));
	ASSERT_EQ(0, s->low->request.result);
	s->tags[s->issued++] = s->low->request.tag;
}

/* Requests in every state: collected, cancelled, answered, fetched, pending. */
static void prepare_close_control(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_result result = {.size = sizeof(result), .tag = TAG_INVALID};

	open_file(_metadata, s);
	for (int i = 0; i < 5; i++)
		program_request(_metadata, s);
	fetch(_metadata, s, 4);
	ASSERT_EQ(0, kb_reply_data(s->kb.daemon, s->got[0].id, 0, "payload", 8));
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_RESULT, &result));
	ASSERT_EQ(0, kb_tag_call(s->file, KEXTBRIDGE_IOC_CANCEL, s->tags[1], 0));
	ASSERT_EQ(0, kb_reply_data(s->kb.daemon, s->got[2].id, 0, "payload", 8));
	ASSERT_TRUE(kb_status(&s->kb, &s->after));
	EXPECT_EQ(1, s->after.pending);
	EXPECT_EQ(1, s->after.fetched);
	EXPECT_EQ(1, s->after.answered);
	s->got_count = 0;
}

static int call_close_control(struct sweep *s)
{
	int err = close(s->file) ? errno : 0;

	s->file = -1;
	return err;
}

static void check_close_control(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->before.discarded + 3, s->after.discarded);
	fetch_rest(_metadata, s);
	/* The notices of what was cancelled, and of what was in hand. */
	EXPECT_EQ(2, s->got_count);
	EXPECT_EQ(KEXTD_CANCEL, s->got[0].kind);
	EXPECT_EQ(KEXTD_CANCEL, s->got[1].kind);
}

static struct pollfd pollers[2];

static int call_poll(__attribute__((unused)) struct sweep *s)
{
	return poll(pollers, 2, 0) < 0 ? errno : 0;
}

static void prepare_poll(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_result(_metadata, s);
	issue(_metadata, s, 1);
	pollers[0] = (struct pollfd){.fd = s->kb.daemon, .events = POLLIN};
	pollers[1] = (struct pollfd){.fd = s->file, .events = POLLIN | POLLPRI};
}

static void check_poll(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || (pollers[0].revents == POLLIN && pollers[1].revents == (POLLIN | POLLPRI)));
	close_file(s);
	kb_cancel(&s->kb, A, s->tags[0], NULL);
}

static void prepare_epoll(struct __test_metadata *_metadata, struct sweep *s)
{
	s->value = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, s->value);
	open_file(_metadata, s);
}

static int call_epoll(struct sweep *s)
{
	struct epoll_event daemon = {.events = EPOLLIN}, control = {.events = EPOLLIN | EPOLLPRI};

	return epoll_ctl(s->value, EPOLL_CTL_ADD, s->kb.daemon, &daemon) ||
			       epoll_ctl(s->value, EPOLL_CTL_ADD, s->file, &control) ?
		       errno :
		       0;
}

/* The file goes while epoll still has it, or after it. */
static void check_epoll(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	if (s->point % 2)
		close_file(s);
	close(s->value);
	if (s->file >= 0)
		close_file(s);
}

TEST_F_TIMEOUT(files, open_close_poll, 600)
{
	static const struct entry entries[] = {
		{"open /dev/kextbridge", NULL, call_open_control, check_open_control, .least = 3},
		{"open /dev/kextd", prepare_open_daemon, call_open_daemon, check_open_daemon, .least = 4},
		{"open /dev/kextd, it is taken", prepare_open_second, call_open_daemon, check_open_second, .least = 4,
		 .expected = EBUSY},
		{"close /dev/kextd", prepare_close_daemon, call_close_daemon, check_close_daemon, .least = 0},
		{"close /dev/kextbridge", prepare_close_control, call_close_control, check_close_control, .least = 0},
		{"exit of the daemon", prepare_exit, call_exit, check_exit, .arms_itself = true, .one_only = true},
		{"poll", prepare_poll, call_poll, check_poll, .least = 1},
		{"epoll", prepare_epoll, call_epoll, check_epoll, .least = 4},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- sysfs */

static const char *const parameters[] = {"request_timeout_ms", "max_pending",   "max_reply_bytes",
					 "max_name",           "strict_cancel", "unload_result"};
enum { PARAMETERS = ARRAY_SIZE(parameters) };
static char old_values[PARAMETERS][32];
static const char *const new_values[] = {"500000", "12345", "1234567", "1000", "Y", "stopping"};

static int read_file(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, room - 1);
	int err = length < 0 ? errno : 0;

	text[length < 0 ? 0 : length] = 0;
	if (fd >= 0)
		close(fd);
	return err;
}

static const char *parameter_path(int i)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", parameters[i]);
	return path;
}

static int call_read_stats(struct sweep *s)
{
	return read_file("/sys/class/misc/kextbridge/stats", s->low->data, 4096);
}

static void check_read_stats(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || !strncmp(s->low->data, "kexts 2\n", 8));
}

static int call_read_parameters(struct sweep *s)
{
	int err = 0;

	for (int i = 0; i < PARAMETERS && !err; i++)
		err = read_file(parameter_path(i), old_values[i], sizeof(old_values[i]));
	return err ? err : read_file("/sys/module/kextbridge/parameters/live_allocations", s->low->data, 32);
}

static void check_read_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	for (int i = 0; i < PARAMETERS && !s->err; i++)
		EXPECT_NE(0, old_values[i][0]);
}

static int write_parameters(bool renew)
{
	for (int i = 0; i < PARAMETERS; i++) {
		const char *value = renew ? new_values[i] : old_values[i];
		int fd = open(parameter_path(i), O_WRONLY | O_CLOEXEC);
		int err = fd < 0 || write(fd, value, strlen(value)) < 0 ? errno : 0;

		if (fd >= 0)
			close(fd);
		if (err)
			return err;
	}
	return 0;
}

static void prepare_write_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	ASSERT_EQ(0, call_read_parameters(s));
}

static int call_write_parameters(__attribute__((unused)) struct sweep *s)
{
	return write_parameters(true);
}

/* Each is as it was or as it was to be. */
static void check_write_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	char value[32];

	for (int i = 0; i < PARAMETERS; i++) {
		ASSERT_EQ(0, read_file(parameter_path(i), value, sizeof(value)));
		EXPECT_TRUE(!strncmp(value, new_values[i], strlen(new_values[i])) ||
			    (s->err && !strcmp(value, old_values[i])))
		{
			TH_LOG("%s: %s", parameters[i], value);
		}
	}
	ASSERT_EQ(0, write_parameters(false));
}

TEST_F_TIMEOUT(files, sysfs, 600)
{
	static const struct entry entries[] = {
		{"stats, read", NULL, call_read_stats, check_read_stats, .least = 3, .one_only = true},
		{"parameters, read", NULL, call_read_parameters, check_read_parameters, .least = 20, .one_only = true},
		{"parameters, written", prepare_write_parameters, call_write_parameters, check_write_parameters,
		 .least = 20, .one_only = true},
	};

	SWEEP_ALL(&self->s, entries);
}
