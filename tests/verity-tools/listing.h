/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image holds, as text to compare. */
#pragma once

/* One line an entry, in order: "PATH TYPE MODE UID:GID NLINK MTIME.NSEC", then a file's size and CRC-32 of
 * its content, a link's
 * "-> TARGET", a device's "MAJOR:MINOR", and " NAME=HEX" for each extended attribute. The root is ".". The
 * test ends if the image cannot be read. To be freed. */
char *listing(const char *image_path);
