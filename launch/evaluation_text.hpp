/// How often which class was taken for which, as text that a terminal can show.
#pragma once

#include <lockstep/train/evaluator.hpp>

#include <string>

namespace lockstep::launch {

/// A table of all pairs if it is narrow enough; otherwise a line for each class that has samples, with the
/// classes that it was most often taken for.
std::string confusion_text(const Evaluation& evaluation);

}  // namespace lockstep::launch
