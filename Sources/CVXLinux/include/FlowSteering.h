// The eBPF program that picks a TAP queue for a frame (TUNSETSTEERINGEBPF): a hash over the addresses of an IPv4 or IPv6
// packet and, but for fragments, the ports of TCP and UDP; over MAC addresses and EtherType for the rest. Both directions of
// a flow give the same, so that its answers wake no second lane. One VLAN tag in the frame is looked past. The kernel takes
// the result modulo the number of queues. A frame that ends too early is given to queue 0 by the load instructions themselves.
#ifndef VX_FLOW_STEERING_H
#define VX_FLOW_STEERING_H

#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// r0 what was loaded, r6 the packet (as the load instructions want it), r7 where IP starts, r8 the hash, r9 scratch.
#define VX_OP(operation, target, from, jump, value) \
    {.code = (operation), .dst_reg = (target), .src_reg = (from), .off = (jump), .imm = (int)(value)}
#define VX_COPY(target, from) VX_OP(BPF_ALU64 | BPF_MOV | BPF_X, target, from, 0, 0)
#define VX_SET(target, value) VX_OP(BPF_ALU64 | BPF_MOV | BPF_K, target, 0, 0, value)
#define VX_LOAD(size, offset) VX_OP(BPF_LD | BPF_ABS | (size), 0, 0, 0, offset)
#define VX_LOAD_IP(size, offset) VX_OP(BPF_LD | BPF_IND | (size), 0, 7, 0, offset)
#define VX_IF(value, jump) VX_OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, jump, value)
#define VX_UNLESS(value, jump) VX_OP(BPF_JMP | BPF_JNE | BPF_K, 0, 0, jump, value)
#define VX_GO(jump) VX_OP(BPF_JMP | BPF_JA, 0, 0, jump, 0)
#define VX_ALU(operation, target, value) VX_OP(BPF_ALU | (operation) | BPF_K, target, 0, 0, value)
// Five instructions: r8 = (r8 ^ r0) * odd; r8 ^= r8 >> 15.
#define VX_MIX \
    VX_OP(BPF_ALU | BPF_XOR | BPF_X, 8, 0, 0, 0), VX_ALU(BPF_MUL, 8, 0x85ebca6b), \
    VX_OP(BPF_ALU | BPF_MOV | BPF_X, 9, 8, 0, 0), VX_ALU(BPF_RSH, 9, 15), VX_OP(BPF_ALU | BPF_XOR | BPF_X, 8, 9, 0, 0)
// Sums are the same in both directions of a flow. r0 = both loads' sum, in two instructions more than they take; the ports of
// a word, mixed (ten); two words, mixed (nine).
#define VX_SUM(first, second) \
    first, VX_OP(BPF_ALU | BPF_MOV | BPF_X, 9, 0, 0, 0), second, VX_OP(BPF_ALU | BPF_ADD | BPF_X, 0, 9, 0, 0)
#define VX_MIX_PORTS(offset) \
    VX_LOAD_IP(BPF_W, offset), VX_OP(BPF_ALU | BPF_MOV | BPF_X, 9, 0, 0, 0), VX_ALU(BPF_RSH, 9, 16), \
    VX_ALU(BPF_AND, 0, 0xffff), VX_OP(BPF_ALU | BPF_ADD | BPF_X, 0, 9, 0, 0), VX_MIX
#define VX_MIX_PAIR(first, second) VX_SUM(VX_LOAD_IP(BPF_W, first), VX_LOAD_IP(BPF_W, second)), VX_MIX

// Loads the program: a descriptor, or -1 with errno where bpf(2) is refused.
static inline int vx_load_flow_steering(void) {
    static const struct bpf_insn code[] = {
        /*   0 */ VX_COPY(6, 1), VX_SET(7, 14), VX_SET(8, 0), VX_LOAD(BPF_H, 12),
        /*   4 */ VX_IF(0x8100, 1), VX_UNLESS(0x88a8, 2), VX_SET(7, 18), VX_LOAD(BPF_H, 16),
        /*   8 */ VX_IF(0x0800, 16), VX_IF(0x86dd, 45),
        // Neither: EtherType, and the last four bytes of either address.
        /*  10 */ VX_MIX, VX_SUM(VX_LOAD(BPF_W, 2), VX_LOAD(BPF_W, 8)), VX_MIX, VX_GO(79),
        // IPv4: addresses; a fragment ends here; protocol; ports behind the options.
        /*  25 */ VX_MIX_PAIR(12, 16),
        /*  34 */ VX_LOAD_IP(BPF_H, 6), VX_ALU(BPF_AND, 0, 0x3fff), VX_UNLESS(0, 67),
        /*  37 */ VX_LOAD_IP(BPF_B, 9), VX_IF(6, 1), VX_UNLESS(17, 64),
        /*  40 */ VX_LOAD_IP(BPF_B, 0), VX_ALU(BPF_AND, 0, 0x0f), VX_ALU(BPF_LSH, 0, 2),
        /*  43 */ VX_OP(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0, 0, 0), VX_MIX_PORTS(0), VX_GO(49),
        // IPv6: addresses; what has extension headers ends here; ports.
        /*  55 */ VX_MIX_PAIR(8, 24), VX_MIX_PAIR(12, 28), VX_MIX_PAIR(16, 32), VX_MIX_PAIR(20, 36),
        /*  91 */ VX_LOAD_IP(BPF_B, 6), VX_IF(6, 1), VX_UNLESS(17, 10), VX_MIX_PORTS(40),
        // The kernel takes 16 bits of the result.
        /* 104 */ VX_OP(BPF_ALU | BPF_MOV | BPF_X, 0, 8, 0, 0), VX_ALU(BPF_RSH, 0, 16),
        /* 106 */ VX_OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    union bpf_attr request;
    memset(&request, 0, sizeof request);
    request.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    request.insns = (unsigned long)code;
    request.insn_cnt = sizeof code / sizeof code[0];
    request.license = (unsigned long)"Apache-2.0";
    return (int)syscall(__NR_bpf, BPF_PROG_LOAD, &request, sizeof request);
}

// Attaches the program to the device of a TAP queue.
static inline int vx_tun_steer_flows(int fd, int program) { return ioctl(fd, TUNSETSTEERINGEBPF, &program); }

#undef VX_OP
#undef VX_COPY
#undef VX_SET
#undef VX_LOAD
#undef VX_LOAD_IP
#undef VX_IF
#undef VX_UNLESS
#undef VX_GO
#undef VX_ALU
#undef VX_MIX
#undef VX_SUM
#undef VX_MIX_PORTS
#undef VX_MIX_PAIR

#endif
