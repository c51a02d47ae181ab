// FreeRTOS as in ESP-IDF.
#pragma once

#include <cstdint>

typedef int BaseType_t;
typedef unsigned int UBaseType_t;

#define pdPASS ((BaseType_t)1)
#define tskIDLE_PRIORITY ((UBaseType_t)0U)
#define tskNO_AFFINITY ((BaseType_t)0x7FFFFFFF)
