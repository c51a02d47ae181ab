// Pushes a picture from a file as the board does, to a receiver that is no part of these tests:
//
//   push HOST PORT TOKEN FILE SERIES NUMBER
//
// The frame, the request, the answer and what follows from it are the board's own code; only socket and clock are those
// of this machine. Status 0: stored; 1: not; 2: wrong usage.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "../src/logic/attempt.h"
#include "../src/logic/failure.h"
#include "../src/logic/picture.h"
#include "peer.h"

int main(int count, char** arguments) {
  if (count != 7) {
    std::fprintf(stderr, "usage: push HOST PORT TOKEN FILE SERIES NUMBER\n");
    return 2;
  }
  std::ifstream file(arguments[4], std::ios::binary);
  const std::vector<char> frame{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto* bytes = reinterpret_cast<const uint8_t*>(frame.data());
  cam::Picture picture(bytes, cam::whole_jpeg(bytes, frame.size()), 0);
  picture.id.series = static_cast<uint32_t>(std::strtoul(arguments[5], nullptr, 16));
  picture.id.number = static_cast<uint32_t>(std::strtoul(arguments[6], nullptr, 10));

  cam::Settings settings;
  settings.device = "gate";
  settings.upload_host = arguments[1];
  settings.upload_port = static_cast<uint16_t>(std::strtoul(arguments[2], nullptr, 10));
  settings.upload_token = arguments[3];

  SocketConnection connection;
  RealClock clock;
  const cam::Delivery delivery = cam::deliver(
      connection, clock, [] { return uint32_t{0}; }, settings, picture, cam::TimeLimits{}, cam::PATIENCE_AWAKE);
  const char* how = delivery.is_stored ? "stored" : delivery.failure == cam::Failure::Token ? "refused: token" : "failed";
  std::printf("%s after %u attempts\n", how, static_cast<unsigned>(delivery.attempts));
  return delivery.is_stored ? 0 : 1;
}
