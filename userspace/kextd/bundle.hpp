/* SPDX-License-Identifier: GPL-2.0-only */
/* Bundles: NAME.kext/Contents/{Info.plist,Resources/}, and the index of them by identifier. */
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trust.hpp"

namespace kext {

struct Bundle {
	enum class Verdict {
		Good,
		Invalid,   /* Info.plist is missing, malformed or says something else than a kext */
		Untrusted, /* Info.plist belongs to somebody else, or somebody else may write to it */
	};

	std::string identifier; /* empty when Info.plist did not give one */
	std::string root;       /* the directory that was searched */
	std::string folder;     /* NAME.kext */
	Verdict verdict = Verdict::Good;
	std::string problem; /* why it is not good, for people */
	Stamp info;          /* of Info.plist */
	bool local = false;  /* on a file system of this machine: a read never waits for somebody else */

	std::string path() const { return root + "/" + folder; }
};

/* What Info.plist says: the identifier, or why it is no kext's. */
struct Identity {
	std::string identifier;
	std::string problem;
};
Identity parse_info_plist(std::string_view content);

/* A picture of all bundles at one time; never changes. */
class BundleIndex {
      public:
	/* The earlier of two roots wins. Never fails: what cannot be read is left out or marked. */
	static std::shared_ptr<const BundleIndex> scan(const std::vector<std::string> &roots, bool authenticate);

	/* NULL: no bundle has this identifier. A bundle without one is found by its folder's name. */
	const Bundle *find(std::string_view identifier) const;

	/* Whether a scan now could find anything else. */
	bool outdated() const;

	size_t size() const { return bundles_.size(); }
	const std::vector<std::unique_ptr<Bundle>> &bundles() const { return bundles_; }

      private:
	void scan_root(const std::string &root, bool authenticate);
	void add(std::unique_ptr<Bundle> bundle);
	void remember(std::string path);

	std::vector<std::unique_ptr<Bundle>> bundles_;
	std::unordered_map<std::string_view, const Bundle *> by_identifier_;
	std::unordered_map<std::string_view, const Bundle *> by_folder_; /* those without an identifier */
	std::vector<std::pair<std::string, Stamp>> stamps_;              /* of all paths that a scan depends on */
	timespec started_{};
	bool racy_ = false;
};

/* The index of the moment, for several threads. */
class BundleStore {
      public:
	BundleStore(std::vector<std::string> roots, bool authenticate);

	std::shared_ptr<const BundleIndex> index() const;
	void rescan();
	/* Scans again if `seen` is the index of the moment and a scan could find something else. */
	bool refresh(const std::shared_ptr<const BundleIndex> &seen);

	bool authenticate() const { return authenticate_; }

      private:
	const std::vector<std::string> roots_;
	const bool authenticate_;
	std::mutex scanning_;
	mutable std::mutex mutex_; /* of index_ */
	std::shared_ptr<const BundleIndex> index_;
};

} // namespace kext
