// What Swift cannot see of the Linux API: macros with arguments, variadic ioctls, GNU extensions. No logic.
#ifndef CVXLINUX_H
#define CVXLINUX_H

#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "Confinement.h"
#include "FlowSteering.h"

// glibc declares these only with _GNU_SOURCE, which the Swift importer does not set: the kernel's struct, mirrored.
struct mmsghdr;
struct vx_mmsghdr {
    struct msghdr header;
    unsigned int length;
};

// unix(7): the struct is declared only with _GNU_SOURCE.
static inline int vx_peer_process(int fd) {
    struct { pid_t pid; uid_t uid; gid_t gid; } peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ? -1 : peer.pid;
}

// posix_spawn(3) of glibc 2.34; declared only with _GNU_SOURCE.
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
int setns(int, int);
int memfd_create(const char *, unsigned int);

int recvmmsg(int, struct mmsghdr *, unsigned int, int, struct timespec *);
int sendmmsg(int, struct mmsghdr *, unsigned int, int);

static inline int vx_recvmmsg(int fd, struct vx_mmsghdr *messages, unsigned int count, int flags) {
    return recvmmsg(fd, (struct mmsghdr *)messages, count, flags, 0);
}

static inline int vx_sendmmsg(int fd, struct vx_mmsghdr *messages, unsigned int count, int flags) {
    return sendmmsg(fd, (struct mmsghdr *)messages, count, flags);
}

static inline int vx_tun_set_iff(int fd, const char *name, short flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = flags;
    return ioctl(fd, TUNSETIFF, &request);
}

// Whether a TAP queue has a device still: after somebody removed that the kernel says EBADFD.
static inline int vx_tun_is_attached(int fd) {
    struct ifreq request;
    return ioctl(fd, TUNGETIFF, &request) == 0;
}

static inline int vx_tun_set_offload(int fd, unsigned int flags) { return ioctl(fd, TUNSETOFFLOAD, flags); }

static inline int vx_tun_set_vnet_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size); }

static inline int vx_set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

static inline int vx_get_option(int fd, int level, int name, int *value) {
    socklen_t size = sizeof *value;
    return getsockopt(fd, level, name, value, &size);
}

// A classic BPF program on the SO_REUSEPORT group (protocol.md, 2a), which sees the UDP payload from offset 0: socket 0
// for whatever is no transport data, else 1 + lane mod threads. The order of the group is the order of bind.
static inline int vx_attach_lane_steering(int fd, unsigned int threads) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, threads),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

// Nothing is ever received on a socket that only sends.
static inline int vx_attach_reject_all(int fd) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static inline int vx_set_not_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

static inline int vx_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

static inline int vx_bind_device(int fd, const char *name) {
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name));
}

// The MTU of the device of that name, or -1.
static inline int vx_interface_mtu(int fd, const char *name) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(fd, SIOCGIFMTU, &request) < 0 ? -1 : request.ifr_mtu;
}

// The requests above by number, for a filter of system calls; and O_PATH, which glibc shows with _GNU_SOURCE alone.
enum {
    VX_TUNSETIFF = TUNSETIFF, VX_TUNSETOFFLOAD = TUNSETOFFLOAD, VX_TUNSETVNETHDRSZ = TUNSETVNETHDRSZ, VX_O_PATH = 010000000,
};
static const unsigned int VX_TUNGETIFF = TUNGETIFF, VX_TUNSETSTEERINGEBPF = TUNSETSTEERINGEBPF;

// Since Linux 6.2; the headers of Debian 12 are older.
enum { VX_TUN_F_CSUM = TUN_F_CSUM, VX_TUN_F_TSO = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, VX_TUN_F_USO = 0x20 | 0x40 };

// udp(7): one call sends a run of equal datagrams, one call receives one.
enum { VX_UDP_NO_CHECK6_RX = 102, VX_UDP_SEGMENT = 103, VX_UDP_GRO = 104, VX_CONTROL_SIZE = 2 * CMSG_SPACE(sizeof(int)) };

static inline void vx_set_controls(
    struct msghdr *message, void *control, unsigned short segment_size, int is_ipv6, int traffic_class
) {
    struct cmsghdr *header = (struct cmsghdr *)control;
    message->msg_controllen = 0;
    if (segment_size > 0) {
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = VX_UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof segment_size);
        memcpy(CMSG_DATA(header), &segment_size, sizeof segment_size);
        message->msg_controllen = CMSG_SPACE(sizeof segment_size);
        header = (struct cmsghdr *)((char *)control + message->msg_controllen);
    }
    if (traffic_class > 0) {
        header->cmsg_level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
        header->cmsg_type = is_ipv6 ? IPV6_TCLASS : IP_TOS;
        header->cmsg_len = CMSG_LEN(sizeof traffic_class);
        memcpy(CMSG_DATA(header), &traffic_class, sizeof traffic_class);
        message->msg_controllen += CMSG_SPACE(sizeof traffic_class);
    }
    message->msg_control = message->msg_controllen > 0 ? control : 0;
}

// One datagram to where a message goes, with the message's traffic class.
static inline ssize_t vx_send_part(int fd, const struct msghdr *like, void *base, size_t count, int is_ipv6, int traffic_class) {
    long long control[(VX_CONTROL_SIZE + sizeof(long long) - 1) / sizeof(long long)];
    struct iovec vector = {.iov_base = base, .iov_len = count};
    struct msghdr message = {0};
    message.msg_name = like->msg_name;
    message.msg_namelen = like->msg_namelen;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    vx_set_controls(&message, control, 0, is_ipv6, traffic_class);
    return sendmsg(fd, &message, 0);
}

// Has the kernel tell the traffic class of what is received; the hop limit of what is sent.
static inline int vx_receive_traffic_class(int fd, int is_ipv6) {
    return is_ipv6 ? vx_set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) : vx_set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

static inline int vx_set_hop_limit(int fd, int is_ipv6, int hops) {
    return is_ipv6 ? vx_set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops) : vx_set_option(fd, IPPROTO_IP, IP_TTL, hops);
}

// The traffic class of a received datagram or run, or 0 where the kernel did not tell.
static inline int vx_received_traffic_class(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) return *CMSG_DATA(header);
        if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, CMSG_DATA(header), sizeof value);
            return value;
        }
    }
    return 0;
}

// The segment size of a received run, or 0 for a single datagram.
static inline int vx_received_segment_size(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == VX_UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(header), sizeof size);
            return size;
        }
    }
    return 0;
}

// Waits until the socket takes more, at most so long.
static inline int vx_wait_writable(int fd, int milliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    return poll(&entry, 1, milliseconds);
}

static const int VX_IFF_TAP_FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;

static inline int vx_clock_is_synchronised(void) {
    struct timex state = {0};
    return adjtimex(&state) != TIME_ERROR;
}

static inline ssize_t vx_getrandom_now(void *bytes, size_t count) { return getrandom(bytes, count, GRND_NONBLOCK); }

#endif
