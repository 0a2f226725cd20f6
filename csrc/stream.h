// A stack of layers that takes one step at a time.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels.h"

namespace recurra {

// Each layer is a scan of one step without counts, with its input multiplied by the kernels. Its state stands in `h_n`
// (and `c_n`) between steps, where the caller may read and write it; `x` and `h0` are the stream's to set.
class Stream {
 public:
  Stream(const Kernels& kernels, std::vector<Scan> layers) : kernels_(kernels), layers_(std::move(layers)) {
    std::size_t largest = 0;
    for (const Scan& layer : layers_) largest = std::max(largest, size(layer));
    before_.resize(largest);
  }

  // Reads x (batch, inputs) of the first layer, writes y (batch, hidden) of the last; the two may not overlap.
  void step(const void* x, void* y, int threads) {
    for (Scan& layer : layers_) {
      // A unit reads the state of all others before it, which they may have written by then.
      std::memcpy(before_.data(), layer.h_n, size(layer));
      layer.h0 = before_.data();
      layer.x = x;
      kernels_.run(layer, threads);
      x = layer.h;
    }
    std::memcpy(y, x, size(layers_.back()));
  }

 private:
  static std::size_t size(const Scan& layer) {
    return layer.batch * layer.hidden * (layer.is_double ? sizeof(double) : sizeof(float));
  }

  const Kernels kernels_;
  std::vector<Scan> layers_;
  std::vector<unsigned char> before_;  // the state that the layer at work starts from
};

}  // namespace recurra
