// The AI-Thinker ESP32-CAM: what is soldered to what.
#pragma once

namespace cam::pins {

constexpr int CAMERA_POWER_DOWN = 32;
constexpr int CAMERA_RESET = -1;
constexpr int CAMERA_CLOCK = 0;
constexpr int CAMERA_SDA = 26;
constexpr int CAMERA_SCL = 27;
constexpr int CAMERA_D0 = 5;
constexpr int CAMERA_D1 = 18;
constexpr int CAMERA_D2 = 19;
constexpr int CAMERA_D3 = 21;
constexpr int CAMERA_D4 = 36;
constexpr int CAMERA_D5 = 39;
constexpr int CAMERA_D6 = 34;
constexpr int CAMERA_D7 = 35;
constexpr int CAMERA_VSYNC = 25;
constexpr int CAMERA_HREF = 23;
constexpr int CAMERA_PIXEL_CLOCK = 22;

/// The small red one on the back; lit while the pin is low.
constexpr int LAMP = 33;
/// The white one in front, which is kept dark.
constexpr int FLASH = 4;

}  // namespace cam::pins
