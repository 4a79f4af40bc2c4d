/// Reading the few Python literals that a header of an .npy file is made of.
#pragma once

#include <lockstep/base/shape.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Reads from front to back, past white space. Throws std::invalid_argument, whose text goes on from a file's
/// name, where something else stands than what is asked for.
class PythonLiteral {
  public:
    explicit PythonLiteral(std::string_view text) : text_(text) {}

    bool next_is(char symbol);
    /// Takes the symbol if it is next.
    bool accept(char symbol);
    void expect(char symbol);
    /// Nothing but white space follows.
    void expect_end();

    /// 'text' or "text", without escapes.
    std::string read_string();
    /// True or False.
    bool read_bool();
    /// (8000, 12), (8000,) or (): numbers from 0 to what Index holds; Python 2's 8000L as well.
    std::vector<Index> read_tuple();

  private:
    Index read_number();
    [[noreturn]] void fail(const std::string& expected) const;

    std::string_view text_;
    std::size_t position_ = 0;
};

}  // namespace lockstep
