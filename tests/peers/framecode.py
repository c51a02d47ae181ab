"""Machine-readable time code, drawn into video frames.

A frame carries a 64-bit word as two rows of 32 black and white squares, once at the top and once at the bottom:

    8 bits   loop length in seconds
   40 bits   instant shown by the frame, milliseconds of Unix time modulo the loop length
   16 bits   CRC-16/CCITT of the 48 bits above

A square is a fortieth of the picture's width, so the word survives H.264 and JPEG at any sensible quality. The two
copies differ when a picture was stitched from two instants: torn, or decoded without its reference.

The program's own demonstration has another writer and reader (src/demo/framecode.rs): implementations that must agree.
"""
from typing import NamedTuple

import numpy as np

COLUMNS = 32       # squares in a row
GRID = 40          # the picture is this many squares wide
LEFT = 4           # squares to the left of the first column
BLACK, WHITE, SURROUND = 20, 230, 60


def crc16(value48):
    crc = 0xFFFF
    for byte in value48.to_bytes(6, "big"):
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
    return crc


def word(instant_ms, loop_s):
    value = (loop_s << 40) | (instant_ms % (loop_s * 1000))
    return (value << 16) | crc16(value)


def draw(luma, instant_ms, loop_s):
    """Draw the word into a luma plane (numpy uint8, height x width), in place."""
    height, width = luma.shape
    side = width // GRID
    bits = word(instant_ms, loop_s)
    # Where each column begins, also when the width is no multiple of the grid.
    edges = [x * width // GRID for x in range(GRID + 1)]
    for top in (side // 2, height - side // 2 - 2 * side):
        # A dark frame around the squares keeps bright neighbours from bleeding in.
        luma[top - side // 4:top + 2 * side + side // 4, edges[LEFT - 1]:edges[LEFT + COLUMNS + 1]] = SURROUND
        for row in range(2):
            for column in range(COLUMNS):
                one = bits >> (63 - (row * COLUMNS + column)) & 1
                squares = luma[top + row * side:top + (row + 1) * side]
                squares[:, edges[LEFT + column]:edges[LEFT + column + 1]] = WHITE if one else BLACK


class Reading(NamedTuple):
    loop_s: int
    ms: int        # Unix time modulo the loop length
    torn: bool     # the two copies differ

    def unix_ms(self, near_ms):
        """Of all instants with this code the one nearest to near_ms."""
        length = self.loop_s * 1000
        return self.ms + round((near_ms - self.ms) / length) * length


def read(luma):
    """Read the word of a luma plane; None when neither copy is whole."""
    height, width = luma.shape
    side = width / GRID
    top = read_at(luma, side / 2, side)
    bottom = read_at(luma, height - side / 2 - 2 * side, side)
    first = top or bottom
    return Reading(*first, torn=top != bottom) if first else None


def read_at(luma, top, side):
    reach = max(1, int(side / 4))
    bits = 0
    for row in range(2):
        for column in range(COLUMNS):
            y, x = int(top + (row + 0.5) * side), int((LEFT + column + 0.5) * side)
            bits = bits << 1 | int(luma[y - reach:y + reach, x - reach:x + reach].mean() > (BLACK + WHITE) / 2)
    value = bits >> 16
    if crc16(value) != bits & 0xFFFF or not value >> 40:
        return None
    return value >> 40, value & ((1 << 40) - 1)
