// Arduino-ESP32: libraries/WiFi and libraries/Network.
#pragma once

#include "Arduino.h"

typedef enum { WIFI_MODE_NULL = 0, WIFI_MODE_STA, WIFI_MODE_AP, WIFI_MODE_APSTA } wifi_mode_t;

#define WIFI_OFF WIFI_MODE_NULL
#define WIFI_STA WIFI_MODE_STA

typedef enum {
  WL_NO_SHIELD = 255,
  WL_STOPPED = 254,
  WL_IDLE_STATUS = 0,
  WL_NO_SSID_AVAIL = 1,
  WL_SCAN_COMPLETED = 2,
  WL_CONNECTED = 3,
  WL_CONNECT_FAILED = 4,
  WL_CONNECTION_LOST = 5,
  WL_DISCONNECTED = 6
} wl_status_t;

class WiFiClass {
 public:
  static void persistent(bool persistent);
  static bool mode(wifi_mode_t m);
  static bool setSleep(bool enabled);
  static bool setHostname(const char* hostname);
  static wl_status_t status();
  wl_status_t begin(const char* ssid, const char* passphrase = nullptr, int32_t channel = 0,
                    const uint8_t* bssid = nullptr, bool connect = true);
  bool reconnect();
  bool disconnect(bool wifioff = false, bool eraseap = false, unsigned long timeoutLength = 0);
  bool setAutoReconnect(bool autoReconnect);
  IPAddress localIP() const;
};

extern WiFiClass WiFi;

class NetworkClient {
 public:
  NetworkClient();
  ~NetworkClient();
  int connect(const char* host, uint16_t port);
  int connect(const char* host, uint16_t port, int32_t timeout_ms);
  size_t write(uint8_t data);
  size_t write(const uint8_t* buf, size_t size);
  int available();
  int read();
  int read(uint8_t* buf, size_t size);
  void stop();
  uint8_t connected();
  int setNoDelay(bool nodelay);

 private:
  int socket_ = -1;
};

typedef NetworkClient WiFiClient;
