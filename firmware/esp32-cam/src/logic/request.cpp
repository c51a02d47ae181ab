#include "request.h"

#include <cstdio>

namespace cam {

size_t request_head(char* out, size_t room, const Settings& settings, PictureId id, size_t length) {
  char name[64];
  char key[64];
  if (file_name(name, sizeof name, settings.device, id) == 0) return 0;
  if (picture_key(key, sizeof key, settings.device, id) == 0) return 0;
  const bool has_token = settings.upload_token[0] != '\0';
  const int written = snprintf(out, room,
                               "POST %s HTTP/1.1\r\n"
                               "Host: %s:%u\r\n"
                               "Content-Type: image/jpeg\r\n"
                               "Content-Length: %zu\r\n"
                               "Content-Disposition: attachment; filename=\"%s\"\r\n"
                               "Idempotency-Key: %s\r\n"
                               "%s%s%s"
                               "Connection: close\r\n"
                               "\r\n",
                               settings.upload_path, settings.upload_host,
                               static_cast<unsigned>(settings.upload_port), length, name, key,
                               has_token ? "Authorization: Bearer " : "", settings.upload_token,
                               has_token ? "\r\n" : "");
  return written > 0 && static_cast<size_t>(written) < room ? static_cast<size_t>(written) : 0;
}

}  // namespace cam
