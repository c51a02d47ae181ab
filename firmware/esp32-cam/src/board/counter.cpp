#include "counter.h"

#include <Preferences.h>
#include <esp_random.h>

namespace cam {

bool Counter::next_stored(PictureId& id) {
  Preferences memory;
  if (!memory.begin("pictures")) return false;
  id.series = memory.getUInt("series", 0);
  id.number = memory.getUInt("number", 0);
  if (id.series == 0 || id.number == UINT32_MAX) {
    id.series = esp_random() | 1;
    id.number = 0;
    // The number first: an old series never begins again.
    if (memory.putUInt("number", 0) == 0 || memory.putUInt("series", id.series) == 0) return false;
  }
  id.number++;
  return memory.putUInt("number", id.number) > 0;
}

PictureId Counter::next() {
  PictureId id;
  if (here_.series == 0 && next_stored(id)) return id;
  // From now on the stored number is not what was given last.
  if (here_.series == 0) here_.series = esp_random() | 1;
  here_.number++;
  return here_;
}

}  // namespace cam
