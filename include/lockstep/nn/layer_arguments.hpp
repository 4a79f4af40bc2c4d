/// What stands behind a layer's word in a model text, as its maker reads it; errors name the layer and the word.
#pragma once

#include <lockstep/base/error.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

/// A UsageError that says already which layer of the model is meant.
class LOCKSTEP_EXPORT LayerError : public UsageError {
  public:
    using UsageError::UsageError;
};

/// A setting of two words, such as "stride 2".
struct LayerSetting {
    std::string_view word;
    std::function<void(std::size_t)> read;  ///< takes the number of the argument that is the value
};

/// Arguments are counted from 0. Every one must be read: one that was not is an error of whoever wrote the text.
/// Throws LayerError: "model, layer 3 ('linear ten'): 'ten' is not a number".
class LOCKSTEP_EXPORT LayerArguments {
  public:
    /// `name` is the layer's place in the network: "3", or "3.body.0". The description must outlive this.
    LayerArguments(const LayerDescription& description, std::string name);

    const LayerDescription& description() const { return description_; }
    const std::string& name() const { return name_; }
    std::size_t count() const { return description_.arguments.size(); }

    /// `what` completes "it takes", as in "the number of outputs, as in 'linear 300'".
    void expect(std::size_t least, std::size_t most, const std::string& what) const;
    const std::string& text(std::size_t i) const;
    double number(std::size_t i) const;
    /// `what` names it in the error: "the number of outputs".
    Index whole_number(std::size_t i, const std::string& what, Index least, Index most) const;
    /// "3" or "3x5": height × width, of 1 to 255 each.
    std::pair<Index, Index> window(std::size_t i) const;
    bool yes_or_no(std::size_t i) const;  ///< "true" or "false"
    /// Reads argument `first` and those after it, which are settings in any order, each at most once.
    void settings(std::size_t first, std::initializer_list<LayerSetting> known) const;

    /// Throws where an argument was not read.
    void expect_all_read() const;
    [[noreturn]] void fail(const std::string& what) const;

  private:
    double number_in(const std::string& text) const;
    Index whole_number_in(const std::string& text, const std::string& what, Index least, Index most) const;

    const LayerDescription& description_;
    std::string name_;
    mutable std::vector<bool> read_;
};

}  // namespace lockstep
