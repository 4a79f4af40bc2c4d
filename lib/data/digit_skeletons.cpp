#include "digit_skeletons.hpp"

#include <array>

namespace lockstep {
namespace {

using P = SkeletonPoint;
using Stroke = SkeletonStroke;

// 0: an oval that closes, a narrow one, and one whose ends cross at the top.
constexpr P zero_oval[] = {{.50, .00}, {.26, .12}, {.18, .50}, {.28, .88}, {.50, 1.0},
                           {.73, .88}, {.82, .50}, {.74, .13}, {.50, .00}, {.42, .02}};
constexpr P zero_narrow[] = {{.58, .00}, {.38, .14}, {.27, .52}, {.30, .88}, {.44, 1.0},
                             {.62, .86}, {.72, .48}, {.70, .12}, {.57, .00}};
constexpr P zero_crossed[] = {{.66, .10}, {.44, .06}, {.22, .32}, {.19, .70}, {.40, .98},
                              {.68, .86}, {.82, .52}, {.74, .16}, {.52, .02}, {.40, .08}};
constexpr Stroke zero_a[] = {zero_oval}, zero_b[] = {zero_narrow}, zero_c[] = {zero_crossed};
constexpr Skeleton zero[] = {zero_a, zero_b, zero_c};

// 1: a bare stroke, one with a flag, one with flag and base.
constexpr P one_stem[] = {{.52, .00}, {.51, .33}, {.50, .66}, {.49, 1.0}};
constexpr P one_flagged[] = {{.34, .22}, {.45, .12}, {.55, .00}, {.55, .00},
                             {.54, .34}, {.53, .67}, {.52, 1.0}};
constexpr P one_base[] = {{.30, 1.0}, {.52, .99}, {.74, 1.0}};
constexpr Stroke one_a[] = {one_stem}, one_b[] = {one_flagged}, one_c[] = {one_flagged, one_base};
constexpr Skeleton one[] = {one_a, one_a, one_b, one_c};

// 2: a corner at the foot, a loop at the foot, and a flat sweep.
constexpr P two_corner[] = {{.20, .24}, {.32, .05}, {.56, .00}, {.76, .14}, {.74, .38}, {.54, .64},
                            {.34, .84}, {.18, .98}, {.18, .98}, {.48, .97}, {.82, .98}};
constexpr P two_loop[] = {{.22, .20}, {.40, .02}, {.66, .06}, {.74, .28}, {.62, .56}, {.40, .86},
                          {.22, .98}, {.13, .90}, {.24, .79}, {.42, .86}, {.62, .98}, {.86, .90}};
constexpr P two_sweep[] = {{.24, .12}, {.46, .01}, {.70, .12}, {.68, .40}, {.46, .70},
                           {.22, .95}, {.22, .95}, {.44, .90}, {.64, .97}, {.84, .93}};
constexpr Stroke two_a[] = {two_corner}, two_b[] = {two_loop}, two_c[] = {two_sweep};
constexpr Skeleton two[] = {two_a, two_b, two_c};

// 3: two bows, two bows with a small loop between, and a flat top.
constexpr P three_bows[] = {{.24, .12}, {.42, .01}, {.66, .06}, {.72, .24}, {.60, .41}, {.42, .47},
                            {.42, .47}, {.66, .52}, {.79, .72}, {.66, .94}, {.42, 1.0}, {.20, .88}};
constexpr P three_looped[] = {{.26, .08}, {.50, .00}, {.70, .14}, {.64, .36}, {.46, .49}, {.38, .45},
                              {.48, .43}, {.70, .55}, {.76, .76}, {.60, .96}, {.36, .99}, {.20, .90}};
constexpr P three_flat[] = {{.24, .03}, {.48, .02}, {.74, .02}, {.74, .02}, {.58, .22}, {.44, .42},
                            {.44, .42}, {.68, .50}, {.78, .72}, {.64, .95}, {.40, .99}, {.20, .86}};
constexpr Stroke three_a[] = {three_bows}, three_b[] = {three_looped}, three_c[] = {three_flat};
constexpr Skeleton three[] = {three_a, three_a, three_b, three_c};

// 4: open at the top, closed at the top, and open with a bent arm.
constexpr P four_open_arm[] = {{.28, .02}, {.24, .28}, {.20, .54}, {.20, .54}, {.50, .53}, {.84, .50}};
constexpr P four_open_stem[] = {{.70, .04}, {.67, .36}, {.64, .68}, {.62, 1.0}};
constexpr P four_closed[] = {{.84, .66}, {.50, .67}, {.16, .68}, {.16, .68}, {.38, .36},
                             {.64, .00}, {.64, .00}, {.63, .34}, {.62, .68}, {.61, 1.0}};
constexpr P four_bent_arm[] = {{.24, .06}, {.20, .30}, {.26, .48}, {.46, .50}, {.64, .42}, {.73, .30}};
constexpr P four_bent_stem[] = {{.78, .00}, {.74, .30}, {.68, .66}, {.64, 1.0}};
constexpr Stroke four_a[] = {four_open_arm, four_open_stem}, four_b[] = {four_closed},
                 four_c[] = {four_bent_arm, four_bent_stem};
constexpr Skeleton four[] = {four_a, four_b, four_c};

// 5: the flag drawn last, all in one stroke, and a rounded one.
constexpr P five_body[] = {{.32, .02}, {.29, .22}, {.27, .44}, {.27, .44}, {.52, .38},
                           {.74, .54}, {.74, .80}, {.54, .98}, {.32, .98}, {.18, .86}};
constexpr P five_flag[] = {{.32, .03}, {.54, .02}, {.78, .00}};
constexpr P five_single[] = {{.80, .02}, {.56, .02}, {.34, .04}, {.34, .04}, {.30, .24}, {.27, .46},
                             {.27, .46}, {.54, .42}, {.74, .60}, {.70, .84}, {.48, 1.0}, {.20, .92}};
constexpr P five_round[] = {{.82, .00}, {.58, .04}, {.40, .08}, {.32, .24}, {.36, .40},
                            {.54, .48}, {.70, .64}, {.68, .86}, {.48, .99}, {.24, .94}};
constexpr Stroke five_a[] = {five_body, five_flag}, five_b[] = {five_single}, five_c[] = {five_round};
constexpr Skeleton five[] = {five_a, five_b, five_c};

// 6: a curved stem, a straight stem, and one with a small bowl.
constexpr P six_curved[] = {{.68, .02}, {.44, .16}, {.26, .44}, {.22, .74}, {.36, .96},
                            {.60, .97}, {.76, .78}, {.66, .58}, {.44, .56}, {.26, .72}};
constexpr P six_straight[] = {{.46, .00}, {.36, .28}, {.28, .56}, {.26, .82}, {.40, .99},
                              {.62, .96}, {.74, .78}, {.64, .60}, {.46, .62}, {.32, .78}};
constexpr P six_small[] = {{.62, .00}, {.38, .22}, {.24, .52}, {.24, .82}, {.42, 1.0},
                           {.60, .92}, {.62, .74}, {.48, .66}, {.34, .74}, {.30, .88}};
constexpr Stroke six_a[] = {six_curved}, six_b[] = {six_straight}, six_c[] = {six_small};
constexpr Skeleton six[] = {six_a, six_b, six_c};

// 7: plain, with a bar, and with a hook and a bent stem.
constexpr P seven_plain[] = {{.18, .05}, {.48, .03}, {.80, .02}, {.80, .02},
                             {.64, .34}, {.50, .66}, {.40, 1.0}};
constexpr P seven_bar[] = {{.38, .52}, {.56, .50}, {.76, .48}};
constexpr P seven_hooked[] = {{.20, .18}, {.22, .04}, {.22, .04}, {.50, .05}, {.80, .03},
                              {.80, .03}, {.62, .28}, {.50, .60}, {.48, 1.0}};
constexpr Stroke seven_a[] = {seven_plain}, seven_b[] = {seven_plain, seven_bar}, seven_c[] = {seven_hooked};
constexpr Skeleton seven[] = {seven_a, seven_b, seven_c, seven_a};

// 8: one stroke from the top right, two rings, and one stroke that leaves the top open.
constexpr P eight_single[] = {{.68, .12}, {.50, .00}, {.30, .14}, {.36, .36}, {.56, .52},
                              {.72, .74}, {.56, .98}, {.32, .94}, {.26, .72}, {.44, .52},
                              {.64, .36}, {.70, .16}, {.60, .04}};
constexpr P eight_upper[] = {{.50, .01}, {.32, .10}, {.30, .32}, {.48, .46},
                             {.66, .34}, {.68, .12}, {.50, .01}};
constexpr P eight_lower[] = {{.48, .46}, {.28, .60}, {.26, .84}, {.48, 1.0},
                             {.72, .86}, {.72, .60}, {.48, .46}};
constexpr P eight_open[] = {{.76, .02}, {.54, .02}, {.32, .16}, {.40, .38}, {.60, .58}, {.66, .80},
                            {.48, .99}, {.28, .86}, {.38, .62}, {.58, .38}, {.78, .12}};
constexpr Stroke eight_a[] = {eight_single}, eight_b[] = {eight_upper, eight_lower}, eight_c[] = {eight_open};
constexpr Skeleton eight[] = {eight_a, eight_b, eight_c};

// 9: a straight stem, a tail that curls, and a loose bowl.
constexpr P nine_straight[] = {{.72, .14}, {.50, .00}, {.28, .16}, {.28, .40}, {.48, .50}, {.68, .34},
                               {.73, .10}, {.73, .10}, {.70, .40}, {.66, .70}, {.62, 1.0}};
constexpr P nine_curled[] = {{.74, .18}, {.54, .01}, {.30, .12}, {.26, .36}, {.44, .50}, {.66, .36},
                             {.75, .16}, {.76, .50}, {.68, .86}, {.46, 1.0}, {.24, .92}};
constexpr P nine_loose[] = {{.66, .08}, {.44, .02}, {.24, .22}, {.28, .44}, {.50, .46},
                            {.70, .28}, {.74, .06}, {.70, .36}, {.58, .70}, {.46, 1.0}};
constexpr Stroke nine_a[] = {nine_straight}, nine_b[] = {nine_curled}, nine_c[] = {nine_loose};
constexpr Skeleton nine[] = {nine_a, nine_b, nine_c};

constexpr std::array<std::span<const Skeleton>, 10> skeletons = {zero, one, two,   three, four,
                                                                 five, six, seven, eight, nine};

}  // namespace

std::span<const Skeleton> digit_skeletons(int label) {
    return skeletons[static_cast<std::size_t>(label)];
}

}  // namespace lockstep
