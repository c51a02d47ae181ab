// ESP-IDF: driver/rtc_io.h.
#pragma once

#include "../esp_err.h"

typedef enum { GPIO_NUM_NC = -1, GPIO_NUM_0 = 0, GPIO_NUM_4 = 4, GPIO_NUM_32 = 32, GPIO_NUM_33 = 33 } gpio_num_t;

extern "C" {
esp_err_t rtc_gpio_hold_en(gpio_num_t gpio_num);
esp_err_t rtc_gpio_hold_dis(gpio_num_t gpio_num);
}
