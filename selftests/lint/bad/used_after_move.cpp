// SPDX-License-Identifier: GPL-2.0-only
// as: userspace/kextd/bad.cpp
// step: tidy
// says: 'name' used after it was moved
#include <string>
#include <utility>
#include <vector>

size_t keep(std::vector<std::string> &names, std::string name);
size_t keep(std::vector<std::string> &names, std::string name)
{
	names.push_back(std::move(name));
	return name.size();
}
