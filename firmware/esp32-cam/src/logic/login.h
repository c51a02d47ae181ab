// Whether a request may see pictures (HTTP Basic). Pure.
#pragma once

#include <cstddef>

namespace cam {

/// `Basic` and the user and password in base64, as a browser sends it. Returns its length, 0 if `out` is too small.
size_t basic_login(char* out, size_t room, const char* user, const char* password);

/// Whether the header is that login, in a time that does not tell how much of it is right.
bool is_login(const char* header, const char* expected);

}  // namespace cam
