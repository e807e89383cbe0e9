// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: any sequence of calls of a queue against a model of what it must say then (W-69). */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

enum { MODEL_CLIENTS = 12, MODEL_FIRST = 200 };

struct model {
	unsigned int type, limit;
	bool accepts, dispatches;
	/* Of each client: 0 none, else when it came, and whether the driver has it. */
	uint32_t order[MODEL_CLIENTS];
	bool owned[MODEL_CLIENTS];
	uint32_t arrivals;
};

static unsigned int count_of(const struct model *model, bool owned)
{
	unsigned int count = 0;

	for (int i = 0; i < MODEL_CLIENTS; i++)
		count += model->order[i] && model->owned[i] == owned;
	return count;
}

static int oldest_queued(const struct model *model)
{
	int oldest = -1;

	for (int i = 0; i < MODEL_CLIENTS; i++)
		if (model->order[i] && !model->owned[i] && (oldest < 0 || model->order[i] < model->order[oldest]))
			oldest = i;
	return oldest;
}

static void settle(struct model *model)
{
	int next;

	while (model->type != MANUAL && model->dispatches && (next = oldest_queued(model)) >= 0 &&
	       count_of(model, true) < model->limit)
		model->owned[next] = true;
}

static uint32_t bits_of(const struct model *model)
{
	return (model->accepts ? STATE_ACCEPTS : 0) | (model->dispatches ? STATE_DISPATCHES : 0) |
	       (count_of(model, false) ? 0 : STATE_NO_REQUESTS) |
	       (count_of(model, true) ? 0 : STATE_DRIVER_NO_REQUESTS);
}

/* What was completed or cancelled has gone. */
static bool gone(struct km_client *client, struct model *model, int which, int32_t status)
{
	model->order[which] = 0;
	model->owned[which] = false;
	return km_end(client) == status;
}

/* What its queue counts as the driver's may not have got to the handler, which puts it into its slot. */
static int32_t complete(struct km *km, int which)
{
	struct kmtest_op op = OP(COMPLETE, .slot = MODEL_FIRST + which);
	int32_t status;

	for (uint64_t until = kb_now_ns() + 2000000000ull;;) {
		struct kmtest_op one = op;

		status = km_op(km, &one);
		if (status != KMTEST_NO_SLOT || kb_now_ns() > until)
			return status;
		sched_yield();
	}
}

static void run_model(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, unsigned int type,
		      unsigned int limit)
{
	struct km_client clients[MODEL_CLIENTS] = {};
	struct model model = {.type = type, .limit = limit, .accepts = true, .dispatches = true};
	uint32_t steps = kb_rounds_from(60, 2000);

	USE_QUEUE(.type = type, .limit = type == PARALLEL ? limit : 0);
	for (uint32_t step = 0; step < steps; step++) {
		int which = kb_random() % MODEL_CLIENTS, next;
		unsigned int action = kb_random() % 12;
		struct kmtest_op state = OP(QUEUE_STATE, .slot = QUEUE);
		struct km_client refused;

		switch (action) {
		case 0 ... 3: /* a client comes */
			if (model.order[which])
				break;
			if (!model.accepts) {
				ASSERT_EQ(0, km_request(&self->km, &refused,
							&(struct kmtest_script){.slot = MODEL_FIRST + which}));
				ASSERT_EQ(STATUS_INVALID_DEVICE_STATE, km_end(&refused));
				break;
			}
			ASSERT_EQ(0, km_request(&self->km, &clients[which],
						&(struct kmtest_script){.slot = MODEL_FIRST + which}));
			model.order[which] = ++model.arrivals;
			settle(&model);
			break;
		case 4 ... 5: /* the driver completes one */
			if (!model.order[which] || !model.owned[which])
				break;
			ASSERT_EQ(STATUS_SUCCESS, complete(&self->km, which)) TH_LOG("step %u", step);
			ASSERT_TRUE(gone(&clients[which], &model, which, STATUS_SUCCESS));
			settle(&model);
			break;
		case 6: /* a client cancels */
			if (!model.order[which])
				break;
			if (model.owned[which]) {
				ASSERT_EQ(1, CANCEL(MODEL_FIRST + which).flagged);
			} else {
				ASSERT_EQ(1, CANCEL(MODEL_FIRST + which).finished);
				ASSERT_TRUE(gone(&clients[which], &model, which, STATUS_CANCELLED));
			}
			break;
		case 7: /* the driver asks for one */
			if (type == PARALLEL)
				break;
			next = oldest_queued(&model);
			if (!model.dispatches) {
				ASSERT_EQ(STATUS_WDF_PAUSED, DO(RETRIEVE_NEXT, QUEUE));
			} else if (next < 0) {
				ASSERT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
			} else {
				ASSERT_EQ(MODEL_FIRST + (uint64_t)next, VALUE(RETRIEVE_NEXT, QUEUE));
				model.owned[next] = true;
			}
			break;
		case 8:
			DO(QUEUE_START, QUEUE);
			model.accepts = model.dispatches = true;
			settle(&model);
			break;
		case 9:
			/* A second one of the kind, while the first waits, would be a mistake. */
			if (count_of(&model, true))
				break;
			DO(QUEUE_STOP, QUEUE, .flags = KMTEST_SYNC);
			model.dispatches = false;
			break;
		case 10:
			if (count_of(&model, true))
				break;
			DO(QUEUE_STOP_AND_PURGE, QUEUE, .flags = KMTEST_SYNC);
			model.dispatches = false;
			for (int i = 0; i < MODEL_CLIENTS; i++)
				if (model.order[i])
					ASSERT_TRUE(gone(&clients[i], &model, i, STATUS_CANCELLED));
			break;
		default:
			if (count_of(&model, true) || (type != MANUAL && model.dispatches && count_of(&model, false)))
				break;
			DO(QUEUE_PURGE, QUEUE, .flags = KMTEST_SYNC);
			model.accepts = false;
			for (int i = 0; i < MODEL_CLIENTS; i++)
				if (model.order[i])
					ASSERT_TRUE(gone(&clients[i], &model, i, STATUS_CANCELLED));
			break;
		}
		/* A client that has come may not have got there. */
		for (uint64_t until = kb_now_ns() + 2000000000ull;;) {
			ASSERT_EQ(0, km_run(&self->km, 0, &state, 1));
			if ((state.status == (int32_t)bits_of(&model) &&
			     KMTEST_QUEUED(state.value) == count_of(&model, false) &&
			     KMTEST_OWNED(state.value) == count_of(&model, true)) ||
			    kb_now_ns() > until)
				break;
			state = (struct kmtest_op)OP(QUEUE_STATE, .slot = QUEUE);
			sched_yield();
		}
		ASSERT_EQ(bits_of(&model), (uint32_t)state.status) TH_LOG("step %u, action %u", step, action);
		ASSERT_EQ(count_of(&model, false), KMTEST_QUEUED(state.value))
		TH_LOG("step %u, action %u", step, action);
		ASSERT_EQ(count_of(&model, true), KMTEST_OWNED(state.value)) TH_LOG("step %u, action %u", step, action);
	}
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_NO_CALLBACK);
	for (int i = 0; i < MODEL_CLIENTS; i++) {
		bool owned = model.owned[i];

		if (!model.order[i])
			continue;
		if (owned) {
			ASSERT_EQ(STATUS_SUCCESS, complete(&self->km, i));
		} else {
			CANCEL(MODEL_FIRST + i);
		}
		ASSERT_TRUE(gone(&clients[i], &model, i, owned ? STATUS_SUCCESS : STATUS_CANCELLED));
	}
	TH_LOG("%u steps", steps);
}

TEST_F_TIMEOUT(driver, W_069_sequential_is_as_the_model, 120)
{
	run_model(_metadata, self, SEQUENTIAL, 1);
}

TEST_F_TIMEOUT(driver, W_069_parallel_is_as_the_model, 120)
{
	run_model(_metadata, self, PARALLEL, 3);
}

TEST_F_TIMEOUT(driver, W_069_manual_is_as_the_model, 120)
{
	run_model(_metadata, self, MANUAL, 0);
}

TEST_HARNESS_MAIN
