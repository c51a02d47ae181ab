// FreeRTOS as in ESP-IDF: the depth of a stack is in bytes.
#pragma once

#include "FreeRTOS.h"

typedef struct tskTaskControlBlock* TaskHandle_t;
typedef void (*TaskFunction_t)(void*);

extern "C" BaseType_t xTaskCreate(TaskFunction_t pxTaskCode, const char* const pcName, const uint32_t usStackDepth,
                                  void* const pvParameters, UBaseType_t uxPriority, TaskHandle_t* const pxCreatedTask);
