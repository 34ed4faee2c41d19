//! The ONNX operator `TreeEnsembleClassifier` for tract, implemented by [`Kernel`].
//!
//! tract-onnx 0.23.9 has its own operator of this name. It reads the leaf array from its start for
//! every leaf of every row, which gives 21 rows a second for 300 trees. tract lets a caller
//! register the function that builds an operator. So tract still parses, types and runs the graph,
//! and the node calls the kernel.
//!
//! The outputs are not those of the ONNX standard. The first is declared as the label, which is not
//! reliable in CatBoost's export. Here it has the raw value in float64, computed from float64
//! leaves, for which the standard has no output. The second has the probabilities, in float64 too.
//! A plan that explains has a third output, the SHAP values.

use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};

use crate::ensemble::Ensemble;
use crate::error::ScoringError;
use crate::explainer::Explainer;
use crate::kernel::Kernel;
use crate::onnx_graph::{self, CLASSIFIER};

/// A parsed ONNX file that describes the ensemble's trees.
pub(crate) struct Graph {
    onnx: tract_onnx::Onnx,
    proto: ModelProto,
}

/// The graph as tract runs it.
#[derive(Debug, Clone)]
pub(crate) struct Plan(Arc<TypedRunnableModel>);

/// What a plan computes for the rows that it has run over so far.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    /// Log-odds of the bad class, by row.
    pub(crate) raw: Vec<f64>,
    /// Probability of the bad class, by row.
    pub(crate) probability: Vec<f64>,
    /// SHAP values in log-odds, row after row. Empty when the plan does not explain.
    pub(crate) shap: Vec<f64>,
}

impl Graph {
    /// Reads the ONNX.
    ///
    /// # Errors
    /// When the file can't be read, has more than the one classifier, or describes another model
    /// than the ensemble.
    pub(crate) fn read(bytes: &[u8], ensemble: &Ensemble) -> Result<Self, ScoringError> {
        let mut onnx = tract_onnx::onnx();
        onnx.op_register.insert(CLASSIFIER, build);
        let proto = onnx_graph::read(&onnx, bytes, ensemble)?;
        Ok(Self { onnx, proto })
    }

    /// Lets tract parse, type and plan the graph. The plan explains if it is given an explainer.
    ///
    /// # Errors
    /// When tract finds the graph to be inconsistent.
    pub(crate) fn plan(
        &self,
        kernel: &Arc<Kernel>,
        explainer: Option<&Arc<Explainer>>,
    ) -> Result<Plan, ScoringError> {
        let classifier = Classifier { kernel: kernel.clone(), explainer: explainer.cloned() };
        self.wire(classifier)
            .map(Plan)
            .map_err(|error| ScoringError::Onnx(format!("tract refuses it: {error:#}")))
    }

    fn wire(&self, classifier: Classifier) -> TractResult<Arc<TypedRunnableModel>> {
        let mut model = self.onnx.parse(&self.proto, None)?.model;
        let [input] = *model.input_outlets()? else { bail!("it must have exactly one input") };
        let width = classifier.kernel.width();
        let rows = model.symbols.sym("rows");
        model.set_input_fact(
            0,
            InferenceFact::dt_shape(f32::datum_type(), &[rows.to_dim(), width.to_dim()]),
        )?;

        let id = model
            .nodes()
            .iter()
            .find(|node| node.op_is::<Box<dyn Expansion>>())
            .map(|node| node.id);
        let id = id.context("the operator is not in the parsed graph")?;
        ensure!(model.nodes[id].inputs == [input], "the operator does not read the graph's input");

        let outputs = 2 + usize::from(classifier.explainer.is_some());
        model.nodes[id].op = expand(classifier);
        model.nodes[id].outputs.resize_with(outputs, Default::default);
        for output in &mut model.nodes[id].outputs {
            // The graph declares a label and float32 probabilities; the operator gives other types.
            output.fact = InferenceFact::default();
        }

        let outlets: Vec<OutletId> = (0..outputs).map(|output| OutletId::new(id, output)).collect();
        model.select_output_outlets(&outlets)?;
        model.into_optimized()?.into_runnable()
    }
}

impl Plan {
    /// Evaluates rows of `width` columns, given one after the other, and appends the results to
    /// `scores`.
    ///
    /// # Errors
    /// If tract fails, which is not expected.
    pub(crate) fn run(
        &self,
        width: usize,
        rows: &[f32],
        scores: &mut Scores,
    ) -> Result<(), ScoringError> {
        self.try_run(width, rows, scores).map_err(|error| ScoringError::Tract(format!("{error:#}")))
    }

    fn try_run(&self, width: usize, rows: &[f32], scores: &mut Scores) -> TractResult<()> {
        let input = Tensor::from_shape(&[rows.len() / width, width], rows)?;
        let outputs = self.0.run(tvec!(input.into_tvalue()))?;
        let [raw, probabilities, shap @ ..] = outputs.as_slice() else {
            bail!("{} outputs", outputs.len())
        };

        scores.raw.extend_from_slice(raw.try_as_plain_ram()?.as_slice()?);
        let probabilities = probabilities.try_as_plain_ram()?;
        scores
            .probability
            .extend(probabilities.as_slice::<f64>()?.chunks_exact(2).map(|classes| classes[1]));
        for shap in shap {
            scores.shap.extend_from_slice(shap.try_as_plain_ram()?.as_slice()?);
        }

        Ok(())
    }
}

/// Builds the operator while tract parses. A plain function can't know the ensemble, so this builds
/// a placeholder, which [`Graph::wire`] replaces.
fn build(_: &ParsingContext, _: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(Placeholder), vec![]))
}

/// The operator before it has its trees.
#[derive(Debug, Clone)]
struct Placeholder;

impl Expansion for Placeholder {
    fn name(&self) -> StaticName {
        CLASSIFIER.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(2)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        _: &mut Solver<'r>,
        _: &'p [TensorProxy],
        _: &'p [TensorProxy],
    ) -> InferenceResult {
        Ok(())
    }

    fn wire(&self, _: &str, _: &mut TypedModel, _: &[OutletId]) -> TractResult<TVec<OutletId>> {
        bail!("the operator was not given its trees")
    }
}

/// The operator. It turns rows `[N, columns]` in f32 into raw values `[N]`, probabilities `[N, 2]`
/// (good, bad) and SHAP values `[N, groups]`, all in f64.
#[derive(Debug, Clone)]
struct Classifier {
    kernel: Arc<Kernel>,
    explainer: Option<Arc<Explainer>>,
}

// Two operators are equal when they share their trees. tract compares operators only to find common
// subexpressions.
impl PartialEq for Classifier {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Classifier {}

impl std::hash::Hash for Classifier {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl Classifier {
    fn identity(&self) -> (*const Kernel, Option<*const Explainer>) {
        (Arc::as_ptr(&self.kernel), self.explainer.as_ref().map(Arc::as_ptr))
    }
}

impl Expansion for Classifier {
    fn name(&self) -> StaticName {
        CLASSIFIER.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(2 + usize::from(self.explainer.is_some()))
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, self.nboutputs()?)?;
        solver.equals(&inputs[0].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].rank, 2)?;
        solver.equals(&inputs[0].shape[1], self.kernel.width().to_dim())?;
        for (output, rank) in outputs.iter().zip([1, 2, 2]) {
            solver.equals(&output.datum_type, f64::datum_type())?;
            solver.equals(&output.rank, rank)?;
            solver.equals(&output.shape[0], &inputs[0].shape[0])?;
        }

        solver.equals(&outputs[1].shape[1], 2.to_dim())?;
        if let (Some(explainer), Some(output)) = (&self.explainer, outputs.get(2)) {
            solver.equals(&output.shape[1], explainer.groups().to_dim())?;
        }

        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Classifier {
    fn name(&self) -> StaticName {
        CLASSIFIER.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Classifier {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let [count, width] = *input.shape() else {
            bail!("rows must be a matrix, found {:?}", input.shape())
        };

        ensure!(
            width == self.kernel.width(),
            "rows have {width} columns, the model {}",
            self.kernel.width()
        );

        let rows = input.try_as_plain_ram()?;
        let rows = rows.as_slice::<f32>()?;
        let mut raw = vec![0.0; count];
        let mut shap = None;
        match &self.explainer {
            None => self.kernel.score(rows, &mut raw),
            Some(explainer) => {
                let mut values = vec![0.0; count * explainer.groups()];
                self.kernel.explain(explainer, rows, &mut raw, &mut values);
                shap =
                    Some(Tensor::from_shape(&[count, explainer.groups()], &values)?.into_tvalue());
            }
        }

        let probabilities: Vec<f64> = raw.iter().flat_map(|raw| probabilities(*raw)).collect();
        let probabilities = Tensor::from_shape(&[count, 2], &probabilities)?;
        Ok([tensor1(&raw).into_tvalue(), probabilities.into_tvalue()]
            .into_iter()
            .chain(shap)
            .collect())
    }
}

impl TypedOp for Classifier {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let rows = inputs[0].shape[0].clone();
        let mut facts =
            tvec!(f64::fact(std::slice::from_ref(&rows)), f64::fact(&[rows.clone(), 2.to_dim()]));
        if let Some(explainer) = &self.explainer {
            facts.push(f64::fact(&[rows, explainer.groups().to_dim()]));
        }

        Ok(facts)
    }

    as_op!();
}

/// The probabilities of the good and of the bad class, from the log-odds of the bad class.
///
/// This is the logistic function, written with the one exponential that can't overflow. So the
/// smaller probability keeps its last digits, however small it is.
pub(crate) fn probabilities(log_odds: f64) -> [f64; 2] {
    let odds = (-log_odds.abs()).exp();
    let (larger, smaller) = (1.0 / (1.0 + odds), odds / (1.0 + odds));
    if log_odds > 0.0 { [smaller, larger] } else { [larger, smaller] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]
    use super::probabilities;

    #[test]
    fn probabilities_add_up_and_keep_their_digits_at_both_ends() {
        for log_odds in
            [0.0, -0.0, 1e-9, 0.3, -7.25, 36.0, -36.0, 700.0, -700.0, f64::MAX, -f64::MAX]
        {
            let [good, bad] = probabilities(log_odds);
            assert!((good + bad - 1.0).abs() <= f64::EPSILON, "{log_odds}: {good} and {bad}");
            assert_eq!(probabilities(-log_odds), [bad, good]);
            assert_eq!(bad > good, log_odds > 0.0);
        }

        assert_eq!(probabilities(-700.0)[1], (-700.0_f64).exp());
    }
}
