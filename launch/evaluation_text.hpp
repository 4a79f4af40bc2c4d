/// What an evaluation found, as text that a terminal can show.
#pragma once

#include <lockstep/train/evaluator.hpp>

#include <string>

namespace lockstep::launch {

/// Of classes: accuracy, top-5 where there are more than five, and how often which class was taken for which, as a table
/// of all pairs if it is narrow enough, otherwise a line for each class that has samples, with the classes that it was
/// most often taken for. Of values: RMSE, MAE and R², of each and in all. Of labels: F1, of each and in all.
std::string evaluation_text(const Evaluation& evaluation);

}  // namespace lockstep::launch
