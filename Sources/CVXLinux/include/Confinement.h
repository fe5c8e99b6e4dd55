// What a process may not do any more: capabilities and landlock(7), for which glibc has no functions.
#ifndef VX_CONFINEMENT_H
#define VX_CONFINEMENT_H

#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int vx_capabilities(uint64_t *effective, uint64_t *permitted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -1;
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

// Effective and permitted alike; none is inheritable. Of the calling thread.
static inline int vx_set_capabilities(uint64_t kept) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    data[0].effective = data[0].permitted = (uint32_t)kept;
    data[1].effective = data[1].permitted = (uint32_t)(kept >> 32);
    return (int)syscall(SYS_capset, &header, data);
}

static inline int vx_drop_from_bounding_set(int capability) { return prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); }
static inline int vx_clear_ambient_capabilities(void) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); }
static inline int vx_set_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static inline int vx_has_no_new_privileges(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

// Mirrored from linux/landlock.h, which is older in Debian 12 than what the kernel may know.
struct vx_landlock_ruleset { uint64_t handled_access_fs, handled_access_net, scoped; };
struct vx_landlock_path { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));
enum { VX_LANDLOCK_CREATE = 444, VX_LANDLOCK_ADD = 445, VX_LANDLOCK_RESTRICT = 446 };

// The kernel's version of landlock, or -1.
static inline int vx_landlock_abi(void) { return (int)syscall(VX_LANDLOCK_CREATE, (void *)0, 0, 1); }

// A ruleset that handles these rights and scopes; `size` is what the kernel's version knows of the struct.
static inline int vx_landlock_create(uint64_t files, uint64_t scoped, size_t size) {
    struct vx_landlock_ruleset ruleset = {files, 0, scoped};
    return (int)syscall(VX_LANDLOCK_CREATE, &ruleset, size, 0);
}

static inline int vx_landlock_allow(int ruleset, int path, uint64_t rights) {
    struct vx_landlock_path rule = {rights, path};
    return (int)syscall(VX_LANDLOCK_ADD, ruleset, 1, &rule, 0);
}

static inline int vx_landlock_restrict(int ruleset) { return (int)syscall(VX_LANDLOCK_RESTRICT, ruleset, 0); }

#endif
