/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/args.h"
#include "base/log.h"
#include "program.h"

struct verity_options options;

int exit_status(int r)
{
        switch (r) {
        case -EBADMSG:
        case -EKEYREJECTED:
        case -ENOKEY:
        case -EUCLEAN:
                return EXIT_ANSWER_IS_NO;
        default:
                return r < 0 ? EXIT_COULD_NOT_TRY : 0;
        }
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"keygen", "", 0, 0, "Make a key and its self-signed certificate for one purpose",
                 verb_keygen},
                {},
        };
        static const struct arg_option arguments[] = {
                {"purpose", 0, ARG_STRING, &options.purpose, "PURPOSE",
                 "boot, rootfs, layer, policy, manifest or test"},
                {"key", 0, ARG_STRING, &options.key, "FILE|URI", "private key"},
                {"certificate", 0, ARG_STRING, &options.certificate, "FILE", "its certificate"},
                {"common-name", 0, ARG_STRING, &options.common_name, "NAME",
                 "keygen: subject of the certificate"},
                {"algorithm", 0, ARG_STRING, &options.algorithm, "NAME",
                 "keygen: rsa2048 (default), rsa4096 or p256"},
                {"json", 0, ARG_JSON, &options.json, "MODE", "off, short or pretty"},
                {},
        };
        static const struct arg_program program = {
                "verity", "makes and checks EROFS images with dm-verity trees and signatures", verbs,
                arguments};

        log_setup("verity");
        return args_run(&program, argc, argv);
}
