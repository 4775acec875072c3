"""Writes C source that holds files: embed.py OUTPUT FILE..."""

import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

output, files = sys.argv[1], sys.argv[2:]
with open(output, "w") as out:
    out.write('#include "sandbox/pages.h"\n\n')
    for i, path in enumerate(files):
        with open(path, "rb") as f:
            data = f.read()
        out.write("static const unsigned char page_%d[] = {" % i)
        out.write(",".join(str(b) for b in data) or "0")
        out.write("};\n")
    out.write("\nconst struct sb_page sb_pages[] = {\n")
    for i, path in enumerate(files):
        name = os.path.basename(path)
        kind = TYPES[os.path.splitext(name)[1]]
        out.write('    {"%s", "%s", page_%d, %d},\n' % (name, kind, i, os.path.getsize(path)))
    out.write("    {NULL, NULL, NULL, 0},\n};\n")
