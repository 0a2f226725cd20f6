// Vectors of the width this translation unit is compiled for, and the functions recurrence needs on them.
//
// Plain compiler vectors, no intrinsics: the same source becomes AVX-512, AVX2, SSE or NEON. VECTOR_BYTES and
// VECTOR_REGISTERS come from the build.
#pragma once

#include <cstdint>
#include <cstring>

namespace recurra::ISA {

template <class T>
struct Vector;

template <>
struct Vector<float> {
  typedef float type __attribute__((vector_size(VECTOR_BYTES)));
  typedef std::int32_t integers __attribute__((vector_size(VECTOR_BYTES)));
  static constexpr float kMagic = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number, in the low bits
  static constexpr int kMantissa = 23;
  static constexpr std::int32_t kOne = 0x3f800000;
  static constexpr float kLog2High = 0.693359375f, kLog2Low = -2.12194440e-4f;
  static constexpr float kLowest = -87.f;  // of exp
  static constexpr int kDegree = 7;
};

template <>
struct Vector<double> {
  typedef double type __attribute__((vector_size(VECTOR_BYTES)));
  typedef std::int64_t integers __attribute__((vector_size(VECTOR_BYTES)));
  static constexpr double kMagic = 6755399441055744.;
  static constexpr int kMantissa = 52;
  static constexpr std::int64_t kOne = 0x3ff0000000000000;
  static constexpr double kLog2High = 6.93145751953125e-1, kLog2Low = 1.42860682030941723212e-6;
  static constexpr double kLowest = -708.;
  static constexpr int kDegree = 13;
};

template <class T>
using V = typename Vector<T>::type;

template <class T>
constexpr int kLanes = VECTOR_BYTES / sizeof(T);

template <class T>
inline V<T> splat(T value) {
  return value - V<T>{};  // not a sum: -0 + 0 is +0
}

// Memory of any alignment, of which `lanes` elements are ours.
template <class T>
inline V<T> load(const T* from) {
  V<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
inline V<T> load(const T* from, int lanes) {
  if (lanes == kLanes<T>) return load(from);
  V<T> v{};
  std::memcpy(&v, from, lanes * sizeof(T));
  return v;
}

template <class T>
inline void store(T* to, V<T> v, int lanes) {
  if (lanes == kLanes<T>) {
    std::memcpy(to, &v, sizeof v);
  } else {
    std::memcpy(to, &v, lanes * sizeof(T));
  }
}

// e^x as 2^n (1 + q) with |r| <= log(2) / 2 and q = e^r - 1 by its Taylor polynomial.
template <class T>
struct Exponential {
  V<T> scale, q;

  explicit Exponential(V<T> x) {
    using C = Vector<T>;
    const V<T> shifted = x * T(1.4426950408889634074) + C::kMagic;
    const V<T> n = shifted - C::kMagic;
    const V<T> r = (x - n * C::kLog2High) - n * C::kLog2Low;
    T factorial = 1;
    T coefficients[C::kDegree + 1];
    for (int i = 1; i <= C::kDegree; ++i) coefficients[i] = 1 / (factorial *= i);
    V<T> p = splat(coefficients[C::kDegree]);
#pragma GCC unroll 16
    for (int i = C::kDegree - 1; i >= 2; --i) p = p * r + coefficients[i];
    q = (p * r) * r + r;
    typename C::integers bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << C::kMantissa) + C::kOne;
    std::memcpy(&scale, &bits, sizeof bits);
  }
};

template <class T>
inline V<T> sigmoid(V<T> x) {
  using C = Vector<T>;
  x = x < C::kLowest ? splat(C::kLowest) : x;  // NaN stays
  x = x > -C::kLowest ? splat(-C::kLowest) : x;
  const Exponential<T> e(-x);
  return T(1) / (T(1) + (e.scale * e.q + e.scale));
}

template <class T>
inline V<T> tanh(V<T> x) {
  using C = Vector<T>;
  const V<T> magnitude = x < T(0) ? -x : x;
  V<T> y = T(-2) * magnitude;
  y = y < C::kLowest ? splat(C::kLowest) : y;
  const Exponential<T> e(y);
  const V<T> less = e.scale * e.q + (e.scale - T(1));  // e^y - 1, exact near 0
  const V<T> t = -less / (less + T(2));
  return x < T(0) ? -t : t;
}

}  // namespace recurra::ISA
