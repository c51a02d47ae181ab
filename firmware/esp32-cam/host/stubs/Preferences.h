// Arduino-ESP32: libraries/Preferences.
#pragma once

#include "Arduino.h"

class Preferences {
 public:
  Preferences();
  ~Preferences();
  bool begin(const char* name, bool readOnly = false, const char* partition_label = nullptr);
  void end();
  size_t putUInt(const char* key, uint32_t value);
  uint32_t getUInt(const char* key, uint32_t defaultValue = 0);

 private:
  bool is_open_ = false;
};
