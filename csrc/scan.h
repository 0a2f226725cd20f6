// What a caller hands over: plain pointers and sizes, for one layer in one direction. No template, no instruction set.
#pragma once

#include <cstdint>

namespace recurra {

enum class Cell { rnn_tanh, rnn_relu, rnn_sigmoid, lstm, gru, gru_reset_before };

// The valid steps of all sequences stand in R rows, those of step t at offsets[t] up to offsets[t] + counts[t], the
// sequences always in the same order, falling by length: R is the sum of counts. Without counts and offsets (both null)
// all sequences are valid at all steps, step t begins at t * batch, and R is steps * batch.
//
// Matrices have rows without gaps and elements of the type of the scan; nothing is aligned but packed weights (see
// Kernels). B is the batch, H is `hidden`, G the number of gates (RNN 1, LSTM 4, GRU 3) in torch's order.
//
// A pointer is not looked at, and may be null, in the directions and cells that its comment does not name. "Reads" and
// "writes" say what a run does to the memory; what is written need not be set before, unless "begins as" says so.
// Nothing overlaps what is written, unless "may be" says so.
struct Scan {
  Cell cell = Cell::lstm;
  bool is_double = false, reverse = false;
  bool backward = false;  // from the last step's gradient to the first's
  bool save = false;      // forward: keep the activated gates for the way back; LSTM and GRU
  std::int64_t hidden = 0, steps = 0, batch = 0;
  const std::int64_t *counts = nullptr, *offsets = nullptr;  // (steps,) each, read

  // Forward reads these.
  std::int64_t inputs = 0;              // features of x, where the kernels multiply it
  const void* x = nullptr;              // (R, inputs), or null: then the input product stands in `gates`
  const void* input_weights = nullptr;  // (G H, inputs), packed; with x
  const void* bias = nullptr;           // (G H,): added to the input product; or null
  const void* inner_bias = nullptr;     // (H,): of a GRU's n, inside the reset; or null

  // Both directions read these.
  const void* weights = nullptr;  // (G H, H), packed for this direction
  const void* h0 = nullptr;       // (B, H), the state before the first step; backward for the GRUs alone
  const void* c0 = nullptr;       // (B, H), of an LSTM; backward alone, since forward finds it in c_n

  // Forward writes these, backward reads them.
  void* gates = nullptr;  // (R, G H): forward reads it where x is null, begun as W_ih x; then, where `save`, writes the
                          // activated gates. GRU with the reset before: r and z even without `save`, so never null.
                          // Backward: LSTM and GRUs. An RNN only ever reads it, and forward alone.
  void* inner = nullptr;  // (R, H): W_hn h + b_hn of a GRU, where `save`; r h of one with the reset before, always, for
                          // forward alone
  void* h = nullptr;      // (R, H), the states; backward for RNNs and GRUs. Forward, an RNN's may be `gates` where x is
                          // null: each element is read before the state takes its place.
  void* c = nullptr;      // (R, H), of an LSTM; forward may be null where nothing goes back

  // Forward writes these.
  void* h_n = nullptr;  // (B, H), the state after each sequence's last step. A sequence without steps keeps what stands
                        // there, so it begins as h0.
  void* c_n = nullptr;  // (B, H), of an LSTM: begins as c0, read and written at each step

  // Backward reads these.
  const void* d_h = nullptr;    // (R, H), the gradient of h; or null for 0
  const void* d_h_n = nullptr;  // (B, H), that of h_n

  // Backward writes these.
  void* d_gates = nullptr;  // (R, G H), the gradient before the activations; read again by the next step. GRU with the
                            // reset after: (R, 4 H) of n, r, z, r n.
  void* d_h0 = nullptr;     // (B, H), the gradient of h0. A sequence without steps keeps what stands there, so it
                            // begins as d_h_n. For GRUs it carries the gradient past the gates from step to step.
  void* d_c = nullptr;      // (B, H), of an LSTM: begins as the gradient of c_n, read and written at each step, ends as
                            // that of c0
};

}  // namespace recurra
