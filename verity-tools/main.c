/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/args.h"
#include "base/log.h"
#include "disk-image.h"
#include "program.h"

struct verity_options options = {.image = {.hash_offset = IMAGE_FILE_NO_OFFSET}};

int fail(int r, const struct error *e)
{
        log_failure(r, e);
        switch (r) {
        case -EBADMSG:
        case -EKEYEXPIRED:
        case -EKEYREJECTED:
        case -EKEYREVOKED:
        case -ENOKEY:
        case -EUCLEAN:
                return EXIT_ANSWER_IS_NO;
        default:
                return EXIT_COULD_NOT_TRY;
        }
}

void show_progress(void *userdata, uint64_t done, uint64_t total)
{
        struct progress *p = userdata;

        p->total = total;
        progress_update(p, done);
}

static const struct arg_verb verbs[] = {
        {"build", "TREE|TAR", 1, 1, "Build an EROFS image with its hash tree; prints the root hash",
         verb_build},
        {"image", "LAYOUT[:TAG]|ARCHIVE|docker://IMAGE", 1, 1,
         "Convert container images to signed EROFS layers", verb_image},
        {"rootfs", "TREE|TAR", 1, 1, "Build a disk image with a signed root partition; prints the root hash",
         verb_rootfs},
        {"format", "FILE", 1, 1, "Make a hash tree for data of any kind; prints the root hash", verb_format},
        {"sign", "FILE", 1, 1, "Verify an image against its root hash and sign that", verb_sign},
        {"verify", "FILE|LAYOUT|docker://IMAGE", 1, 1,
         "Check every block, and the signatures of a layout or the one given", verb_verify},
        {"inspect", "FILE", 1, 1, "Show what the superblocks of an image say", verb_inspect},
        {"diff", "BEFORE AFTER", 2, 2, "Show what differs between the files of two images", verb_diff},
        {"open", "FILE NAME", 2, 2, "Make the read-only device /dev/mapper/NAME", verb_open},
        {"close", "NAME", 1, 1, "Remove that device", verb_close},
        {"keygen", "", 0, 0, "Make a key and its certificate for one purpose", verb_keygen},
        {},
};

static const struct arg_option arguments[] = {
        {"output", 'o', ARG_STRING, &options.output, "FILE", "build format rootfs image sign",
         "what is written; replaced if it is there"},
        {"hash-file", 0, ARG_STRING, &options.image.hash_file, "FILE",
         "build format sign verify inspect open", "superblock and tree in a file of their own"},
        {"hash-offset", 0, ARG_UNSIGNED, &options.image.hash_offset, "BYTES",
         "format sign verify inspect open",
         "where superblock and tree begin; default: behind the EROFS, or 0 in --hash-file"},
        {"no-superblock", 0, ARG_FLAG, &options.image.no_superblock, NULL, "format sign verify inspect open",
         "none before the tree: the next five options describe it"},
        {"hash", 0, ARG_STRING, &options.image.algorithm, "sha256|sha384|sha512",
         "format sign verify inspect open", "hash algorithm (default sha256)"},
        {"salt", 0, ARG_STRING, &options.image.salt, "HEX", "format sign verify inspect open",
         "salt, - for none (default 32 zero bytes)"},
        {"data-block-size", 0, ARG_UNSIGNED, &options.image.data_block_size, "512|1024|2048|4096",
         "format sign verify inspect open", "bytes in a block of data (default 4096)"},
        {"hash-block-size", 0, ARG_UNSIGNED, &options.image.hash_block_size, "512|1024|2048|4096",
         "format sign verify inspect open", "bytes in a block of the tree (default 4096)"},
        {"data-blocks", 0, ARG_UNSIGNED, &options.image.data_blocks, "N", "format sign verify inspect open",
         "blocks of data (default: all)"},
        {"uuid", 0, ARG_STRING, &options.uuid, "UUID", "format",
         "of the superblock (default: from the root hash)"},
        {"file-contexts", 0, ARG_STRING, &options.file_contexts, "FILE", "build rootfs",
         "SELinux labels for a tree"},
        {"allow-setuid", 0, ARG_FLAG, &options.allow_setuid, NULL, "build rootfs image sign",
         "let setuid files and file capabilities in"},
        {"push", 0, ARG_STRING, &options.push, "docker://IMAGE", "image",
         "push the image and its signatures to this registry"},
        {"platform", 0, ARG_STRING, &options.platform, "OS/ARCH[/VARIANT]", "image",
         "of images for several (default: Linux on this machine)"},
        {"squash", 0, ARG_FLAG, &options.squash, NULL, "image", "merge the layers of an image into one"},
        {"signatures-only", 0, ARG_FLAG, &options.signatures_only, NULL, "image",
         "leave docker://IMAGE as it is and push the signatures of its layers"},
        {"authfile", 0, ARG_STRING, &options.authfile, "FILE", "image verify",
         "credentials for registries (default: $REGISTRY_AUTH_FILE or docker's)"},
        {"tls-ca", 0, ARG_STRING, &options.tls_ca, "FILE", "image verify",
         "authorities to trust for registries instead of the system's"},
        {"plain-http", 0, ARG_FLAG, &options.plain_http, NULL, "image verify",
         "reach the registry without TLS (default only on this machine)"},
        {"timeout", 0, ARG_UNSIGNED, &options.timeout, "SECONDS", "image verify",
         "how long a transfer may stand still (default 60)"},
        {"label", 0, ARG_STRING, &options.label, "NAME", "rootfs", "of the root partition (default root)"},
        {"architecture", 0, ARG_STRING, &options.architecture, DISK_ARCHITECTURES, "rootfs",
         "of the partitions' types (default x86-64)"},
        {"root-hash", 0, ARG_STRING, &options.image.root_hash, "HEX", "sign verify open",
         "the root hash expected"},
        {"signature", 0, ARG_STRING, &options.signature, "FILE", "verify open",
         "DER (verify: or signature partition)"},
        {"trust", 0, ARG_STRING, &options.trust, "DIR", "verify", "directory of trusted <purpose>.pem"},
        {"format", 0, ARG_STRING, &options.format, "der|partition", "sign",
         "of the signature: alone (default), or as a disk image holds it"},
        {"purpose", 0, ARG_STRING, &options.purpose,
         "boot|rootfs|layer|policy|manifest|test|build|recovery|none", "sign verify keygen",
         "of the certificate (default layer; verify: rootfs for disk images); none: keygen only"},
        {"key", 0, ARG_STRING, &options.key, "FILE|URI", "rootfs image sign keygen", "private key"},
        {"certificate", 0, ARG_STRING, &options.certificate, "FILE|URI", "rootfs image sign keygen",
         "its certificate"},
        {"at", 0, ARG_STRING, &options.at, "TIME", "rootfs image sign verify keygen",
         "when certificates have to be valid, like 2026-01-31T12:00:00Z or @SECONDS (default now)"},
        {"digest-out", 0, ARG_STRING, &options.digest_out, "FILE|DIR", "image sign",
         "instead of --key: write what a key elsewhere is to sign (image: several files)"},
        {"attach", 0, ARG_STRING, &options.attach, "FILE|DIR", "rootfs image sign",
         "instead of --key: the raw signatures made there, as bytes or Base64"},
        {"provider", 0, ARG_LIST, &options.providers, "NAME", "rootfs image sign keygen",
         "OpenSSL provider that resolves URIs; pkcs11: needs none named"},
        {"manifest-key", 0, ARG_STRING, &options.manifest_key, "FILE|URI", "image",
         "private key for manifests"},
        {"manifest-certificate", 0, ARG_STRING, &options.manifest_certificate, "FILE", "image",
         "its certificate"},
        {"common-name", 0, ARG_STRING, &options.common_name, "NAME", "keygen", "subject of the certificate"},
        {"algorithm", 0, ARG_STRING, &options.algorithm, "rsa2048|rsa4096|p256|p384", "keygen",
         "of the key (default rsa2048)"},
        {"days", 0, ARG_UNSIGNED, &options.days, "N", "keygen",
         "validity of the certificate (default 20 years)"},
        {"authority", 0, ARG_FLAG, &options.authority, NULL, "keygen",
         "a certification authority for the purpose, not a signer"},
        {"issuer-key", 0, ARG_STRING, &options.issuer_key, "FILE|URI", "keygen",
         "key of the authority that signs the certificate (default: self-signed)"},
        {"issuer-certificate", 0, ARG_STRING, &options.issuer_certificate, "FILE|URI", "keygen",
         "certificate of that authority"},
        {"deferred", 0, ARG_FLAG, &options.deferred, NULL, "close", "a busy device goes with its last user"},
        {"json", 0, ARG_JSON, &options.json, "off|short|pretty", NULL, "print JSON"},
        {},
};

int main(int argc, char **argv)
{
        static const struct arg_program program = {
                "verity", "makes and checks EROFS images with dm-verity trees and signatures", verbs,
                arguments};

        log_setup("verity");
        return args_run(&program, argc, argv);
}
