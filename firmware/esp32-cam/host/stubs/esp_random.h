// ESP-IDF: esp_random.h.
#pragma once

#include <cstdint>

extern "C" uint32_t esp_random(void);
