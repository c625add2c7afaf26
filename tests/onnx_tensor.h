// Reads the tensors of ONNX's node tests: files that hold one TensorProto each.
//
// A TensorProto is a list of protobuf fields, of which the node tests use dims (1), data_type (2),
// name (8) and raw_data (9). These few lines stand in for libprotobuf and ONNX's generated code,
// which Debian ships too, but which would make a compiler for .proto files and a library of
// megabytes a dependency of our tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octavo/octavo.h"

namespace oct::test {

struct OnnxTensor {
  std::vector<int64_t> dims;
  oct_dtype type = OCT_NONE;
  std::vector<uint8_t> data;

  int64_t size() const;
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data.data());
  }
  int first_int() const;  // of u8 or s8
};

// Throws std::runtime_error if the file cannot be read or is something else.
OnnxTensor read_onnx_tensor(const std::string& path);

}  // namespace oct::test
