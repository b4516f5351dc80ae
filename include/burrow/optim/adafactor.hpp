// Adafactor (Shazeer and Stern 2018): of a matrix's second moment only the means of its rows and columns are
// kept, updates are clipped by their root mean square, and steps may scale with the parameter.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of Adafactor; the defaults are the paper's (algorithm 6). Without a learning rate of the step,
/// the relative step is min(learning_rate, 1 / sqrt(t)), or with `relative_step = false` the learning rate;
/// with `scale_parameter` it is multiplied by max(epsilon2, RMS(parameter)).
struct AdafactorOptions {
  double learning_rate = 1e-2;
  bool relative_step = true;
  bool scale_parameter = true;
  double decay_rate = 0.8;      ///< beta2 of step t is 1 - t^-decay_rate
  double clip_threshold = 1.0;  ///< the largest root mean square of an update before the step size
  double beta1 = 0;             ///< other than 0: a first moment of the clipped updates is kept
  double epsilon1 = 1e-30;      ///< added to squared gradients
  double epsilon2 = 1e-3;       ///< the least scale of a parameter
  double weight_decay = 0;      ///< decoupled: times the relative step, whatever the parameter's scale
  Bf16Update bf16_update = Bf16Update::fp32_copy;
  Key key{};  ///< of stochastic rounding
};

namespace detail {

/// One parameter of an Adafactor slice. Places count from the slice's first element, or from the first row,
/// column or element of a vector that is remembered.
struct AdafactorPart {
  Index begin, rows, columns;
  Index row_at = 0, column_at = 0, vector_at = 0;
  std::size_t first_piece = 0, piece_count = 0;
  bool is_matrix = false, frozen = false;
  double mean_row = 0;  // the mean of row moments, this step
  double clip = 1, scale = 1;

  Index size() const { return rows * columns; }
};

/// Whole rows of a matrix, or a part of a vector, that one thread works on.
struct AdafactorPiece {
  std::size_t part;
  Index begin, end;      // rows, or elements of a vector
  Index partial_at = 0;  // its sums of columns
  double update_squares = 0, parameter_squares = 0;
};

inline std::vector<AdafactorPart> adafactor_parts(const ParameterLayout& layout,
                                                  std::span<const UpdateRange> ranges, Index first,
                                                  Location where) {
  std::vector<AdafactorPart> parts;
  Index rows = 0, columns = 0, vectors = 0;
  for (const UpdateRange& range : ranges) {
    if (range.parameter >= layout.size())
      throw ShapeError("Adafactor: needs the parameters' layout, to know their rows and columns" + at(where));
    const ParameterPlace& place = layout[range.parameter];
    if (range.end - range.begin != place.size())
      throw ShapeError(
          "Adafactor: a slice holds whole parameters, but this one cuts the parameter of elements " +
          std::to_string(place.begin) + " to " + std::to_string(place.end()) + at(where));
    AdafactorPart part{place.begin - first, place.rows, place.columns, rows, columns, vectors};
    part.is_matrix = place.is_matrix();
    part.frozen = range.frozen;
    (part.is_matrix ? rows : vectors) += part.is_matrix ? place.rows : place.size();
    if (part.is_matrix) columns += place.columns;
    parts.push_back(part);
  }
  return parts;
}

/// Cuts the parts that are not frozen into pieces of about `piece_size` elements, by shapes alone, so that
/// sums have the same order for every number of threads. Returns the numbers that partial sums take.
inline Index cut_adafactor_pieces(std::vector<AdafactorPart>& parts, std::vector<AdafactorPiece>& pieces) {
  constexpr Index piece_size = 32'768, least_rows = 16, most_pieces = 64;
  Index partial = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    AdafactorPart& part = parts[i];
    part.first_piece = pieces.size();
    if (part.frozen) continue;
    const Index length = part.is_matrix ? part.rows : part.size();
    const Index least = part.is_matrix ? std::max(least_rows, piece_size / part.columns) : piece_size;
    const Index step = std::max(least, (length + most_pieces - 1) / most_pieces);
    for (Index begin = 0; begin < length; begin += step) {
      pieces.push_back({i, begin, std::min(begin + step, length), partial});
      if (part.is_matrix) partial += part.columns;
    }
    part.piece_count = pieces.size() - part.first_piece;
  }
  return partial;
}

}  // namespace detail

/// Adafactor for a slice of a flat buffer, whose first element has the index `first_index` there. The slice
/// must hold whole parameters: their rows, columns and root mean squares are taken over all of each. Three
/// passes read the gradient, one of them writes the parameters. Of more than two axes all but the last are
/// rows.
template <Real P, class D = Cpu>
class AdafactorSlice {
  static_assert(detail::on_host<D>,
                "Adafactor: runs on the CPU alone; on other devices take Adam, Sgd, Lion or RmsProp");

 public:
  using Compute = compute_type<P>;
  using Options = AdafactorOptions;
  static constexpr bool needs_whole_parameters = true;

  /// `layout` is that of the whole buffer. Throws ValueError for options out of range, ShapeError without a
  /// layout or where the slice cuts a parameter.
  AdafactorSlice(std::span<const P> parameters, Index first_index, const AdafactorOptions& options,
                 const ParameterLayout& layout, Location where = Location::here())
      : options_{options},
        update_{parameters, first_index, options.bf16_update, options.key, layout, where},
        parts_{detail::adafactor_parts(layout, update_.ranges(), first_index, where)} {
    detail::require_option(options.learning_rate >= 0, "Adafactor: the learning rate is negative", where);
    detail::require_option(options.decay_rate > 0, "Adafactor: the decay rate is not positive", where);
    detail::require_option(options.clip_threshold > 0, "Adafactor: the clip threshold is not positive",
                           where);
    detail::require_option(options.beta1 >= 0 && options.beta1 < 1, "Adafactor: beta1 is not in [0, 1)",
                           where);
    detail::require_option(options.epsilon1 > 0 && options.epsilon2 > 0,
                           "Adafactor: an epsilon is not positive", where);
    detail::require_option(options.weight_decay >= 0, "Adafactor: the weight decay is negative", where);
    partial_.resize(static_cast<std::size_t>(detail::cut_adafactor_pieces(parts_, pieces_)));
    Index rows = 0, columns = 0, vectors = 0;
    for (const Part& part : parts_) {
      rows += part.is_matrix ? part.rows : 0;
      columns += part.is_matrix ? part.columns : 0;
      vectors += part.is_matrix ? 0 : part.size();
    }
    row_moment_.resize(static_cast<std::size_t>(rows));
    column_moment_.resize(static_cast<std::size_t>(columns));
    vector_moment_.resize(static_cast<std::size_t>(vectors));
    if (options.beta1 > 0) first_moment_.resize(parameters.size());
  }

  /// One update of the slice, in place.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {},
            Location where = Location::here()) {
    detail::require_option(
        now.only.empty(),
        "Adafactor: a gradient of some parameters only; freeze the others with parameter_groups", where);
    update_.check(parameters.size(), gradient.size(), where);
    const auto t = static_cast<double>(steps_ + 1);
    const double relative =
        options_.relative_step ? std::min(options_.learning_rate, 1 / std::sqrt(t)) : options_.learning_rate;
    const double learning_rate = now.learning_rate.value_or(relative);
    const double beta2 = 1 - std::pow(t, -options_.decay_rate);
    each_piece([&](Piece& piece) {
      const Part& part = parts_[piece.part];
      if (part.is_matrix)
        sum_squares(piece, part, gradient.data() + part.begin, now.gradient_factor, beta2);
      else
        average_squares(piece, part, gradient.data() + part.begin, now.gradient_factor, beta2);
      if (options_.scale_parameter) sum_parameter_squares(piece, part, parameters.data() + part.begin);
    });
    each_part([&](Part& part) { finish_moments(part, beta2); });
    each_piece([&](Piece& piece) {
      const Part& part = parts_[piece.part];
      if (part.is_matrix) sum_update_squares(piece, part, gradient.data() + part.begin, now.gradient_factor);
    });
    each_part([&](Part& part) { finish_sums(part); });
    update(parameters, gradient, learning_rate, now.gradient_factor, where);
    ++steps_;
  }

  /// "adafactor.row_moment" and "adafactor.column_moment" of matrices, "adafactor.vector_moment" of the rest,
  /// and "adafactor.first_moment" and "adafactor.parameters_fp32", where they are kept.
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{
        steps_,
        {{"adafactor.row_moment", row_moment_, StateExtent::rows},
         {"adafactor.column_moment", column_moment_, StateExtent::columns},
         {"adafactor.vector_moment", vector_moment_, StateExtent::elements_of_vectors}}};
    if (!first_moment_.empty()) state.values.push_back({"adafactor.first_moment", first_moment_});
    if (!update_.copy().empty()) state.values.push_back({"adafactor.parameters_fp32", update_.copy()});
    return state;
  }

  const AdafactorOptions& options() const { return options_; }

 private:
  using V = Packet<Compute>;
  using Part = detail::AdafactorPart;
  using Piece = detail::AdafactorPiece;

  static V constant(double value) { return detail::every_lane<V>(value); }

  template <class Body>
  void each_piece(const Body& body) {
    parallel_for(static_cast<Index>(pieces_.size()), 1, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) body(pieces_[static_cast<std::size_t>(i)]);
    });
  }
  template <class Body>
  void each_part(const Body& body) {
    parallel_for(static_cast<Index>(parts_.size()), 1, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        if (Part& part = parts_[static_cast<std::size_t>(i)]; !part.frozen) body(part);
    });
  }

  /// Row moments of the piece, and its sums of columns.
  template <class G>
  void sum_squares(const Piece& piece, const Part& part, const G* gradient, double gradient_factor,
                   double beta2) {
    const V factor = constant(gradient_factor), epsilon = constant(options_.epsilon1);
    Compute* const sums = partial_.data() + piece.partial_at;
    std::fill_n(sums, part.columns, Compute(0));
    for (Index row = piece.begin; row < piece.end; ++row) {
      const G* const g = gradient + row * part.columns;
      V row_sum = constant(0);
      detail::each_packet<Compute>(part.columns, [&](Index j, auto... rest) {
        const V now = V::load(g + j, rest...) * factor;
        const V square = now * now;
        row_sum = row_sum + square;
        (V::load(sums + j, rest...) + (square + epsilon)).store(sums + j, rest...);
      });
      Compute& moment = row_moment_[static_cast<std::size_t>(part.row_at + row)];
      const double mean = static_cast<double>(reduce_add(row_sum)) / static_cast<double>(part.columns);
      moment = static_cast<Compute>(beta2 * static_cast<double>(moment) +
                                    (1 - beta2) * (mean + options_.epsilon1));
    }
  }

  /// The second moment of a part of a vector, with the sum of its squared updates.
  template <class G>
  void average_squares(Piece& piece, const Part& part, const G* gradient, double gradient_factor,
                       double beta2) {
    const V factor = constant(gradient_factor), epsilon = constant(options_.epsilon1);
    const V keep = constant(beta2), take = constant(1 - beta2);
    Compute* const moment = vector_moment_.data() + part.vector_at + piece.begin;
    const G* const g = gradient + piece.begin;
    V sum = constant(0);
    double total = 0;
    Index in_sum = 0;
    detail::each_packet<Compute>(piece.end - piece.begin, [&](Index j, auto... rest) {
      const V now = V::load(g + j, rest...) * factor;
      const V square = now * now;
      const V second = keep * V::load(moment + j, rest...) + take * (square + epsilon);
      second.store(moment + j, rest...);
      sum = sum + square / maximum(second, epsilon);
      if (++in_sum == 64) {
        total += static_cast<double>(reduce_add(sum));
        sum = constant(0);
        in_sum = 0;
      }
    });
    piece.update_squares = total + static_cast<double>(reduce_add(sum));
  }

  void sum_parameter_squares(Piece& piece, const Part& part, const P* parameters) {
    const Index row = part.is_matrix ? part.columns : 1;
    piece.parameter_squares =
        sum_of_squares_of(parameters + piece.begin * row, (piece.end - piece.begin) * row);
  }

  template <class T>
  static double sum_of_squares_of(const T* values, Index count) {
    double total = 0;
    for (Index begin = 0; begin < count; begin += detail::update_block) {
      V sum = constant(0);
      detail::each_packet<Compute>(std::min(detail::update_block, count - begin), [&](Index j, auto... rest) {
        const V value = V::load(values + begin + j, rest...);
        sum = sum + value * value;
      });
      total += static_cast<double>(reduce_add(sum));
    }
    return total;
  }

  /// The column moments of a matrix, and 1 / sqrt of them where the first piece had its sums.
  void finish_moments(Part& part, double beta2) {
    if (!part.is_matrix) return;
    const V keep = constant(beta2), take = constant((1 - beta2) / static_cast<double>(part.rows));
    const V one = constant(1), least = constant(options_.epsilon1);
    Compute* const moment = column_moment_.data() + part.column_at;
    Compute* const first = partial_.data() + pieces_[part.first_piece].partial_at;
    detail::each_packet<Compute>(part.columns, [&](Index j, auto... rest) {
      V sum = V::load(first + j, rest...);
      for (std::size_t i = 1; i < part.piece_count; ++i)
        sum = sum + V::load(first + static_cast<Index>(i) * part.columns + j, rest...);
      const V second = keep * V::load(moment + j, rest...) + take * sum;
      second.store(moment + j, rest...);
      (one / sqrt(maximum(second, least))).store(first + j, rest...);
    });
    double rows = 0;
    for (Index row = 0; row < part.rows; ++row)
      rows += static_cast<double>(row_moment_[static_cast<std::size_t>(part.row_at + row)]);
    part.mean_row = rows / static_cast<double>(part.rows);
  }

  /// What row `row` of a matrix multiplies a gradient with, before its column does.
  double row_factor(const Part& part, Index row) const {
    return std::sqrt(part.mean_row /
                     static_cast<double>(row_moment_[static_cast<std::size_t>(part.row_at + row)]));
  }

  template <class G>
  void sum_update_squares(Piece& piece, const Part& part, const G* gradient, double gradient_factor) {
    const Compute* const columns = partial_.data() + pieces_[part.first_piece].partial_at;
    piece.update_squares = 0;
    for (Index row = piece.begin; row < piece.end; ++row) {
      const V factor = constant(gradient_factor * row_factor(part, row));
      const G* const g = gradient + row * part.columns;
      V sum = constant(0);
      detail::each_packet<Compute>(part.columns, [&](Index j, auto... rest) {
        const V u = V::load(g + j, rest...) * factor * V::load(columns + j, rest...);
        sum = sum + u * u;
      });
      piece.update_squares += static_cast<double>(reduce_add(sum));
    }
  }

  /// How far the part's update is clipped, and the parameter's scale.
  void finish_sums(Part& part) {
    double update = 0, parameter = 0;
    for (std::size_t i = part.first_piece; i < part.first_piece + part.piece_count; ++i) {
      update += pieces_[i].update_squares;
      parameter += pieces_[i].parameter_squares;
    }
    const auto size = static_cast<double>(part.size());
    part.clip = 1 / std::max(1.0, std::sqrt(update / size) / options_.clip_threshold);
    part.scale = options_.scale_parameter ? std::max(options_.epsilon2, std::sqrt(parameter / size)) : 1.0;
  }

  template <class G>
  void update(std::span<P> parameters, std::span<const G> gradient, double learning_rate,
              double gradient_factor, Location where) {
    update_.run(
        parameters, gradient, steps_, {},
        [&](const auto& block, const detail::UpdateRange& range) {
          const Part& part = parts_[static_cast<std::size_t>(&range - update_.ranges().data())];
          const double rate = range.rate(learning_rate);
          const double keep = 1 - rate * range.decay(options_.weight_decay);
          for (Index done = 0; done < block.count();) {
            const Index at = block.begin() + done - part.begin, rest = block.count() - done;
            const Index row = part.is_matrix ? at / part.columns : 0;
            const Index column = at - row * part.columns;
            const Index count = part.is_matrix ? std::min(rest, part.columns - column) : rest;
            const double factor =
                gradient_factor * part.clip * (part.is_matrix ? row_factor(part, row) : 1.0);
            move(block, done, count, part, column, factor, rate * part.scale, keep);
            done += count;
          }
        },
        where);
  }

  /// Moves `count` neighbours of one row, or of a vector, from `first` of the block on.
  void move(const auto& block, Index first, Index count, const Part& part, Index column,
            double gradient_factor, double step_size, double keep_parameter) {
    const V factor = constant(gradient_factor), size = constant(step_size), keep = constant(keep_parameter);
    const V beta1 = constant(options_.beta1), rest1 = constant(1 - options_.beta1);
    const V least = constant(options_.epsilon1);
    const Compute* const columns =
        part.is_matrix ? partial_.data() + pieces_[part.first_piece].partial_at + column : nullptr;
    const Compute* const moment = vector_moment_.data() + part.vector_at + column;
    block.update(first, count, [&](V p, V g, Index i, auto... rest) {
      const Index j = i - first;
      V u = g * factor;
      u = part.is_matrix ? u * V::load(columns + j, rest...)
                         : u / sqrt(maximum(V::load(moment + j, rest...), least));
      if (!first_moment_.empty()) {
        Compute* const m = first_moment_.data() + block.begin() + i;
        u = beta1 * V::load(m, rest...) + rest1 * u;
        u.store(m, rest...);
      }
      return keep * p - size * u;
    });
  }

  AdafactorOptions options_;
  Index steps_ = 0;
  detail::ParameterUpdate<P> update_;
  std::vector<Part> parts_;
  std::vector<Piece> pieces_;
  detail::Remembered<Compute> row_moment_, column_moment_, vector_moment_, first_moment_, partial_;
};

/// Adafactor for all parameters of a model.
template <class Model>
struct Adafactor : ModelOptimizer<Model, AdafactorSlice> {
  using ModelOptimizer<Model, AdafactorSlice>::ModelOptimizer;
};
template <class Model>
Adafactor(const Model&, const AdafactorOptions& = {}, ParameterLayout = {}) -> Adafactor<Model>;

}  // namespace burrow
