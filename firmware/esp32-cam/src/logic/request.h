// The head of the request that pushes a picture, as text. The settings are judged where they are compiled in, so
// nothing here can end a line early.
#pragma once

#include <cstddef>

#include "picture.h"
#include "settings.h"

namespace cam {

/// The longest settings that are allowed, and what stands around them.
constexpr size_t HEAD_MAX = 1280;

/// Writes the head for a picture of `length` bytes; returns its length, 0 if `out` is too small.
size_t request_head(char* out, size_t room, const Settings& settings, PictureId id, size_t length);

}  // namespace cam
