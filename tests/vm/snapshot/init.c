/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The init of the guest that is saved and taken up again: it counts, and reads a PCR that the firmware
 * extended, so that memory and TPM can be seen to be the same before and after. */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PCR7 "/sys/class/tpm/tpm0/pcr-sha256/7"

int main(void)
{
        char digest[80];

        (void)mkdir("/sys", 0755);
        if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
                perror("sysfs");
        for (unsigned i = 0; i < 600; i++) {
                FILE *f = fopen(PCR7, "re");
                if (!f || !fgets(digest, sizeof(digest), f))
                        perror(PCR7);
                else
                        printf("count %u pcr7 %s", i, digest);
                if (f)
                        (void)fclose(f);
                (void)fflush(stdout);
                (void)nanosleep(&(struct timespec){.tv_nsec = 200L * 1000 * 1000}, NULL);
        }
        (void)reboot(RB_POWER_OFF);
        return 1;
}
