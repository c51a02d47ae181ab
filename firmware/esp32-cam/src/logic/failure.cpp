#include "failure.h"

namespace cam {

const char* words(Failure failure) {
  switch (failure) {
    case Failure::None: return "no failure";
    case Failure::Camera: return "the camera gave no picture: check the ribbon cable and the 5 V supply";
    case Failure::NoAnswer: return "no answer: check WIFI_SSID, WIFI_PASSWORD, UPLOAD_HOST, UPLOAD_PORT and the server";
    case Failure::Token: return "the server refuses this device (401, 403): check UPLOAD_TOKEN";
    case Failure::TooLarge: return "the picture is larger than the server takes from this device (413)";
    case Failure::Picture: return "the server refuses this picture (415, 422)";
    case Failure::Address: return "the answer is not that of a receiver of pictures: check UPLOAD_HOST and UPLOAD_PATH";
    case Failure::Busy: return "the server is busy or full (408, 429, 5xx) and was until the end";
    case Failure::Waiting: return "too many pictures wait already; this one was not taken";
  }
  return "unknown failure";
}

}  // namespace cam
