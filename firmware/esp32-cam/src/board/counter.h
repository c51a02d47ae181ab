// Which picture is the next one, over restarts.
#pragma once

#include "../logic/picture.h"

namespace cam {

class Counter {
 public:
  /// Written down before the picture is taken, so no number is given twice, and a number that never arrives at the
  /// server is a picture that was lost. Where the memory does not take it, a series of this start alone goes on.
  PictureId next();

 private:
  bool next_stored(PictureId& id);

  PictureId here_{};
};

}  // namespace cam
