// The library we are compared with. It receives the same operands, packs its weights beforehand
// as we do, and runs on as many threads.
#pragma once

#include <memory>
#include <string>

#include "jit/isa.h"
#include "perf/measure.h"

namespace oct::perf {

class QgemmCase;
class QconvCase;

class PeerRun : public Subject {
 public:
  virtual std::string implementation() const = 0;  // the peer's name for what it chose
};

class Peer {
 public:
  virtual ~Peer() = default;
  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  virtual std::string isa() const = 0;  // the most it uses, in its own words

  // Everything the peer does before its first run. The result writes to `c` (dense).
  // Throws std::exception if the peer refuses.
  virtual std::unique_ptr<PeerRun> prepare(const QgemmCase& problem, void* c) = 0;
  virtual std::unique_ptr<PeerRun> prepare(const QconvCase& problem, void* c) = 0;
  // The same layer in f32, on operands of its own, in whatever layout suits the peer.
  virtual std::unique_ptr<PeerRun> prepare_f32(const QconvCase& problem) = 0;
};

// Our own kernels that saturate, under `cap`; it refuses what those of `cap` never serve.
std::unique_ptr<Peer> make_saturating_peer(Isa cap, int threads);

// oneDNN, limited to the counterpart of `cap`; null if the program was built without it.
std::unique_ptr<Peer> make_onednn_peer(Isa cap, int threads);

}  // namespace oct::perf
