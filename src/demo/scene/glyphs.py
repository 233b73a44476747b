#!/usr/bin/env python3
"""Draws glyphs.bin, the letters burnt into the demo cameras' pictures, from Noto Sans CJK SC Bold (SIL OFL 1.1, see OFL.txt).

Run in this folder after a new street or camera name needs a new character. Needs chromium, ffmpeg and fonts-noto-cjk.
Each glyph: code point (4 bytes, big-endian), advance in pixels (1 byte), 32 rows of 32 pixels, 4 bits each, darkest last.
"""
import pathlib, re, subprocess, struct, tempfile

CELL, COLUMNS = 32, 32
names = "".join(p.read_text() for p in pathlib.Path("..").rglob("*.rs"))
wide = sorted(set(re.findall(r"[\u4e00-\u9fff]", "".join(re.findall(r'"[^"\n]*"', names)))))
chars = [chr(c) for c in range(0x21, 0x7F)] + wide
cells = "".join(
    f'<i style="left:{i % COLUMNS * CELL}px;top:{i // COLUMNS * CELL}px">{"&#%d;" % ord(c)}</i>'
    for i, c in enumerate(chars)
)
height = (len(chars) + COLUMNS - 1) // COLUMNS * CELL
page = f"""<meta charset=utf-8><style>body{{margin:0;background:#000;color:#fff;font:700 28px 'Noto Sans CJK SC'}}
i{{position:absolute;width:{CELL}px;height:{CELL}px;line-height:{CELL}px;font-style:normal;text-align:left;padding-left:1px;overflow:hidden}}</style>{cells}"""
with tempfile.TemporaryDirectory() as d:
    d = pathlib.Path(d)
    (d / "page.html").write_text(page)
    size = f"{CELL * COLUMNS},{height}"
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-lcd-text",
        f"--window-size={size}", f"--screenshot={d}/page.png", f"file://{d}/page.html"], check=True, stderr=subprocess.DEVNULL)
    grey = subprocess.run(["ffmpeg", "-v", "error", "-i", f"{d}/page.png", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
        check=True, stdout=subprocess.PIPE).stdout
stride = CELL * COLUMNS
out = bytearray()
for i, c in enumerate(chars):
    x0, y0 = i % COLUMNS * CELL, i // COLUMNS * CELL
    rows = [grey[(y0 + y) * stride + x0:(y0 + y) * stride + x0 + CELL] for y in range(CELL)]
    ink = max((x for row in rows for x in range(CELL) if row[x] > 40), default=0)
    # Digits and clock signs share one width, so that the clock does not dance.
    advance = 30 if c in wide else 17 if c in "0123456789" else min(ink + 3, 31)
    out += struct.pack(">IB", ord(c), advance)
    for row in rows:
        out += bytes((row[x] >> 4) << 4 | row[x + 1] >> 4 for x in range(0, CELL, 2))
pathlib.Path("glyphs.bin").write_bytes(out)
print(len(chars), "glyphs,", len(out), "bytes")
