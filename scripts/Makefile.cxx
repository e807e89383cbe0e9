# SPDX-License-Identifier: GPL-2.0-only
# Kbuild rules for the one C++ unit of a module: included by Kbuild (kextbridge.ko) and by what scripts/driver.mk
# generates. Needs KEXTBRIDGE_DIR; the includer adds its own $(cxxflags-y).

# The same compiler for both languages: gcc-12 -> g++-12, clang-19 -> clang++-19.
KEXTBRIDGE_CXX := $(patsubst %clang,%clang++,$(subst clang-,clang++-,$(patsubst %gcc,%g++,$(subst gcc-,g++-,$(CC)))))

# C++ gets Kbuild's own code generation flags for the object, so that mitigations, tracing and what objtool needs
# come along on every kernel, and none of its C warnings. -pg must be among them, or no C++ function can be traced.
cxx-keep := -f% -m% -O% -g% -pg --param% asan-% tsan-% -asan-% -tsan-% -sanitizer-coverage-%
cxx-drop := -fplugin% -fsanitize=vptr% -fsanitize=function%
cxx_flags = -Wp,-MMD,$(depfile) $(filter-out $(cxx-drop),$(filter $(cxx-keep),$(_c_flags) $(modkern_cflags))) \
	-I$(KEXTBRIDGE_DIR)/shim/include -std=gnu++20 -nostdinc -ffreestanding \
	-fno-exceptions -fno-rtti $(if $(CONFIG_CC_IS_CLANG),,-fno-gnu-unique) -Wall -Wextra -Werror=return-type $(cxxflags-y) \
	$(if $(CONFIG_FRAME_WARN),-Wframe-larger-than=$(CONFIG_FRAME_WARN))

quiet_cmd_cxx_o_cpp = CXX $(quiet_modtag)  $@
      cmd_cxx_o_cpp = $(KEXTBRIDGE_CXX) $(cxx_flags) -c -o $@ $< $(cmd_objtool)

define rule_cxx_o_cpp
	$(call cmd_and_fixdep,cxx_o_cpp)
	$(call cmd,gen_objtooldep)
endef

$(obj)/%.o: $(obj)/%.cpp FORCE
	$(call if_changed_rule,cxx_o_cpp)
