// A stack of layers that takes one step at a time.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "kernels.h"

namespace recurra {

// Each layer is a scan of one step, with its input multiplied by the kernels, whose `h0` the step before has left.
class Stream {
 public:
  Stream(const Kernels& kernels, std::vector<Scan> layers) : kernels_(kernels), layers_(std::move(layers)) {}

  // From x (batch, inputs) of the first layer to y (batch, hidden) of the last.
  void step(const void* x, void* y, int threads) {
    for (Scan& layer : layers_) {
      layer.x = x;
      kernels_.run(layer, threads);
      std::memcpy(const_cast<void*>(layer.h0), layer.h, size(layer));
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
};

}  // namespace recurra
