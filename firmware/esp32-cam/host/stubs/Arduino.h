// Arduino-ESP32: cores/esp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#define LOW 0x0
#define HIGH 0x1
#define INPUT 0x01
#define OUTPUT 0x03
#define INPUT_PULLUP 0x05

void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t val);
int digitalRead(uint8_t pin);
unsigned long millis();
void delay(uint32_t ms);
bool psramFound();

class String {
 public:
  String(const char* cstr = "") : text_{} { strncpy(text_, cstr, sizeof text_ - 1); }
  const char* c_str() const { return text_; }

 private:
  char text_[64];
};

class IPAddress {
 public:
  String toString() const;
};

class HardwareSerial {
 public:
  void begin(unsigned long baud);
  size_t printf(const char* format, ...) __attribute__((format(printf, 2, 3)));
  size_t println(const char* text);
};

extern HardwareSerial Serial;
