// libseccomp's actions are macros, which Swift does not see.
#include <seccomp.h>

static inline uint32_t vx_seccomp_allow(void) { return SCMP_ACT_ALLOW; }
static inline uint32_t vx_seccomp_error(int code) { return SCMP_ACT_ERRNO(code); }
static inline uint32_t vx_seccomp_kill(void) { return SCMP_ACT_KILL_PROCESS; }
