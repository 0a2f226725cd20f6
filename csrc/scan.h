// What a caller hands over: plain pointers and sizes, for one layer in one direction. No template, no instruction set.
#pragma once

#include <cstdint>

namespace recurra {

enum class Cell { rnn_tanh, rnn_relu, rnn_sigmoid, lstm, gru, gru_reset_before };

// The valid steps of all sequences stand in `rows` rows, those of step t at offsets[t] up to offsets[t] + counts[t],
// the sequences always in the same order, falling by length. Without counts all sequences are valid at all steps.
//
// Matrices have rows without gaps; G is the number of gates (RNN 1, LSTM 4, GRU 3) in torch's order. A pointer a cell
// does not use is null.
struct Scan {
  Cell cell = Cell::lstm;
  bool is_double = false, reverse = false;
  bool backward = false;  // from the last step's gradient to the first's
  bool save = false;      // keep the activated gates
  std::int64_t hidden = 0, steps = 0, batch = 0;
  const std::int64_t *counts = nullptr, *offsets = nullptr;  // (steps,)

  std::int64_t inputs = 0;    // features of x, where the kernels multiply it
  const void* x = nullptr;    // (rows, inputs), or null: then the input product stands in `gates`
  void* input_weights = nullptr;                  // (G hidden, inputs), packed
  void* weights = nullptr;                        // (G hidden, hidden), packed for this direction of the gradient
  const void* bias = nullptr;                     // (G hidden,): added to the input product
  const void* inner_bias = nullptr;               // (hidden,): of a GRU's n, inside the reset
  void* gates = nullptr;                          // (rows, G hidden): W_ih x in; activated out where `save`
  void* inner = nullptr;                          // (rows, hidden): of a GRU, W_hn h + b_hn, or r h
  const void *h0 = nullptr, *c0 = nullptr;        // (batch, hidden)
  void *h = nullptr, *c = nullptr;                // (rows, hidden); c or null
  void *h_n = nullptr, *c_n = nullptr;            // (batch, hidden): begin as h0, c0

  const void* d_h = nullptr;    // (rows, hidden)
  const void* d_h_n = nullptr;  // (batch, hidden)
  void* d_gates = nullptr;      // (rows, G hidden); GRU with the reset after: (rows, 4 hidden), n, r, z, r n
  void* d_h0 = nullptr;         // (batch, hidden): begins as d_h_n; of a GRU, carries the gradient on its way
  void* d_c = nullptr;          // (batch, hidden): begins as the gradient of c_n, ends as that of c0
};

}  // namespace recurra
