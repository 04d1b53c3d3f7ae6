/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program whose exit status proves that its code ran. As usermode helper (--core FILE) it writes the line
 * of /proc/self/status that tells what it may do. ANSWER differs for programs that no image signs. */
#include <stdio.h>
#include <string.h>

static int write_capabilities(const char *path)
{
        char line[256];
        FILE *status = fopen("/proc/self/status", "re");
        if (!status)
                return 1;
        FILE *out = fopen(path, "we");
        while (out && fgets(line, sizeof(line), status))
                if (strncmp(line, "CapEff:", 7) == 0)
                        (void)fputs(line, out);
        (void)fclose(status);
        return !out || fclose(out) != 0;
}

int main(int argc, char **argv)
{
        if (argc == 3 && strcmp(argv[1], "--core") == 0)
                return write_capabilities(argv[2]);
        return ANSWER;
}
