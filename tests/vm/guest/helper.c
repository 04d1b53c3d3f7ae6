/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program whose exit status proves that its code ran. As usermode helper (--core FILE) it writes the line
 * of /proc/self/status that tells what it may do. ANSWER differs for programs that no image signs. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        char line[256];

        if (argc == 3 && strcmp(argv[1], "--core") == 0) {
                FILE *status = fopen("/proc/self/status", "re"), *out = fopen(argv[2], "we");
                while (status && out && fgets(line, sizeof(line), status))
                        if (strncmp(line, "CapEff:", 7) == 0)
                                fputs(line, out);
                return !out || fclose(out) != 0;
        }
        return ANSWER;
}
