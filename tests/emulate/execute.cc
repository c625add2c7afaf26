#include "tests/emulate/execute.h"

#include "tests/emulate/counters.h"
#include "tests/emulate/emulate.h"
#include "tests/emulate/guest_memory.h"
#include "tests/emulate/tiles.h"
#include "tests/emulate/vectors.h"

namespace oct::emulate {

namespace {

Fault execute_vector(const Instruction& in, RegisterState& state, uint64_t address) {
  if (!state.vectors.has_ymm()) return {"the signal frame holds no ymm registers"};
  const size_t size = in.is_256 ? 32 : 16;
  Vector b{};
  if (in.has_memory)
    load(address, b.data(), size);
  else
    b = state.vectors.read(in.rm);
  const Vector acc = state.vectors.read(in.reg), a = state.vectors.read(in.vvvv);
  state.vectors.write(in.reg, dot_product(in.row(), acc, a, b, size));
  return {};
}

Fault execute_tile(const Instruction& in, uint64_t address, uint64_t stride) {
  TileUnit& tiles = this_threads_tiles();
  TileConfig config;
  switch (in.mnemonic) {
    case Mnemonic::kLdtilecfg:
      load(address, &config, sizeof config);
      return tiles.configure(config);
    case Mnemonic::kSttilecfg:
      config = tiles.config();
      store(address, &config, sizeof config);
      return {};
    case Mnemonic::kTilerelease: tiles.release(); return {};
    case Mnemonic::kTilezero: return tiles.zero(in.reg);
    case Mnemonic::kTileloadd:
    case Mnemonic::kTileloaddt1: return tiles.load(in.reg, address, stride);
    case Mnemonic::kTilestored: return tiles.store(in.reg, address, stride);
    default: return tiles.multiply(in.row().signs, in.reg, in.rm, in.vvvv);
  }
}

Fault perform(const Instruction& in, RegisterState& state, uint64_t next_rip) {
  const uint64_t start = in.has_memory ? in.memory.start(state, next_rip) : 0;
  const uint64_t indexed = in.has_memory ? in.memory.indexed(state) : 0;
  if (in.row().isa != Isa::kAmx) return execute_vector(in, state, start + indexed);
  const bool index_is_stride = in.row().form == Form::kTileMemory;
  const bool had_tiles = this_threads_tiles().configured();
  const Fault fault =
      index_is_stride ? execute_tile(in, start, indexed) : execute_tile(in, start + indexed, 0);
  const bool has_tiles = this_threads_tiles().configured();
  if (had_tiles != has_tiles) count_thread_with_tiles(has_tiles ? 1 : -1);
  return fault;
}

}  // namespace

Fault execute(const Instruction& in, RegisterState& state) {
  const uint64_t next_rip = state.rip + static_cast<uint64_t>(in.length);
  const Fault fault = perform(in, state, next_rip);
  if (fault.none()) {
    state.rip = next_rip;
    count_instruction(in.mnemonic);
  }
  return fault;
}

Fault execute_run(RegisterState& state) {
  Instruction in;
  if (Fault fault = decode(state.rip, in); !fault.none()) return fault;
  if (Fault fault = execute(in, state); !fault.none()) return fault;
  const Isa isa = in.row().isa;
  while (decode(state.rip, in).none() && in.row().isa == isa && execute(in, state).none()) {
  }
  return {};
}

Fault step(RegisterState& state) {
  Instruction in;
  if (Fault fault = decode(state.rip, in); !fault.none()) return fault;
  return execute(in, state);
}

}  // namespace oct::emulate
