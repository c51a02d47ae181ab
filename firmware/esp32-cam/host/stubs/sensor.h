// esp32-camera: driver/include/sensor.h.
#pragma once

typedef enum {
  PIXFORMAT_RGB565,
  PIXFORMAT_YUV422,
  PIXFORMAT_YUV420,
  PIXFORMAT_GRAYSCALE,
  PIXFORMAT_JPEG,
} pixformat_t;

typedef enum {
  FRAMESIZE_QVGA,
  FRAMESIZE_VGA,
  FRAMESIZE_SVGA,
  FRAMESIZE_XGA,
  FRAMESIZE_SXGA,
  FRAMESIZE_UXGA,
} framesize_t;
