#pragma once
// The library is opened at run time, so nothing here refers to a symbol of it: jobs go through the manager's own pointers,
// and of the exported functions only the types are taken.
#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __typeof__(&imb_get_version) vx_imb_get_version;
typedef __typeof__(&imb_get_mb_mgr_size) vx_imb_get_mb_mgr_size;
typedef __typeof__(&imb_set_pointers_mb_mgr) vx_imb_set_pointers_mb_mgr;
typedef __typeof__(&init_mb_mgr_auto) vx_init_mb_mgr_auto;

// The version these headers describe, as imb_get_version gives it: major, minor and patch number, the last two a byte each.
static inline unsigned vx_imb_header_version(void) { return IMB_VERSION_NUM; }

// Runs ChaCha20-Poly1305 over one message and returns whether the library did it. This job type ends within the
// submission, so the ring of jobs is always empty between calls.
static inline bool vx_imb_chacha20_poly1305(IMB_MGR *manager, IMB_CIPHER_DIRECTION direction, void *destination,
                                            const void *source, size_t count, const void *header, size_t header_count,
                                            const void *nonce, const void *key, void *tag) {
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->cipher_direction = direction;
    job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->enc_keys = key;
    job->dec_keys = key;
    job->key_len_in_bytes = 32;
    job->src = (const uint8_t *)source;
    job->dst = (uint8_t *)destination;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = count;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = count;
    job->iv = (const uint8_t *)nonce;
    job->iv_len_in_bytes = 12;
    job->u.CHACHA20_POLY1305.aad = header;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = header_count;
    job->auth_tag_output = (uint8_t *)tag;
    job->auth_tag_output_len_in_bytes = 16;
    job = IMB_SUBMIT_JOB_NOCHECK(manager);
    return job != NULL && job->status == IMB_STATUS_COMPLETED;
}
