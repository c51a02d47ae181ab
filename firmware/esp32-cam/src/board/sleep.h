// Deep sleep: all is off but the clock, and the sketch begins anew after it.
#pragma once

#include <cstdint>

namespace cam {

/// What was held over a sleep is let go, before anything else uses these pins.
void wake_up();

/// Does not come back.
[[noreturn]] void sleep_for(uint64_t duration_us);

}  // namespace cam
