//! A network's parameters by name: `embed.weight`, `blocks.2.linear1.bias`, `readout.norm.gamma`.
//! Checkpoints, optimiser state, gradients and imports all speak of these names.

use crate::backend::{Differentiable, float_tensor};
use anyhow::{Result, bail};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// Tensors by name, in the order of the names.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// What a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Embed,
    Block(usize),
    Readout,
    /// Not the network: what the rule that trains it learns for itself.
    Learner,
    /// As that, and a network of its own, with an update rule of its own.
    Auxiliary,
    /// As that, and no update rule moves it: the rule gives what it becomes.
    Given,
}

impl Part {
    /// The part of the network's parameter `name`.
    ///
    /// # Panics
    /// If the network breaks the rule that its parameters lie under `embed`, `blocks.<l>` or
    /// `readout`.
    pub fn of(name: &str) -> Self {
        let mut words = name.split('.');
        match (words.next(), words.next().and_then(|l| l.parse().ok())) {
            (Some("embed"), _) => Self::Embed,
            (Some("readout"), _) => Self::Readout,
            (Some("blocks"), Some(l)) => Self::Block(l),
            _ => panic!("parameter {name} belongs to no part of the network"),
        }
    }
}

/// The path to the parameter being visited. The variants of an enum are no part of it.
#[derive(Default)]
struct Path(Vec<Option<String>>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

struct Visit<F> {
    path: Path,
    visit: F,
}

/// A function of a parameter's name, dimensions and value; generic over the rank, as closures
/// cannot be.
trait EachTensor<B: Backend> {
    fn call<const D: usize>(&mut self, name: String, tensor: Tensor<B, D>);
}

impl<B: Backend, F: EachTensor<B>> ModuleVisitor<B> for Visit<F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.visit.call(self.path.name(), param.val());
    }
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
}

fn visit<B: Backend, M: Module<B>, F: EachTensor<B>>(module: &M, each: F) -> F {
    let mut visitor = Visit { path: Path::default(), visit: each };
    module.visit(&mut visitor);
    visitor.visit
}

/// Copies every parameter to the host.
pub fn export<B: Backend, M: Module<B>>(module: &M) -> NamedTensors {
    struct Export(NamedTensors);
    impl<B: Backend> EachTensor<B> for Export {
        fn call<const D: usize>(&mut self, name: String, tensor: Tensor<B, D>) {
            self.0.insert(name, tensor.into_data());
        }
    }
    visit(module, Export(NamedTensors::new())).0
}

/// The gradient of every parameter that has one, flattened to one dimension.
pub fn gradients<B: Differentiable, M: Module<B>>(
    module: &M,
    gradients: &B::Gradients,
) -> BTreeMap<String, Tensor<B::InnerBackend, 1>> {
    struct Collect<'a, B: Differentiable> {
        from: &'a B::Gradients,
        into: BTreeMap<String, Tensor<B::InnerBackend, 1>>,
    }
    impl<B: Differentiable> EachTensor<B> for Collect<'_, B> {
        fn call<const D: usize>(&mut self, name: String, tensor: Tensor<B, D>) {
            if let Some(gradient) = tensor.grad(self.from) {
                let count = gradient.shape().num_elements();
                self.into.insert(name, gradient.reshape([count]));
            }
        }
    }
    visit(module, Collect::<B> { from: gradients, into: BTreeMap::new() }).into
}

/// Every parameter that is a matrix, by name, cut off from the graph.
pub fn matrices<B: Differentiable, M: Module<B>>(
    module: &M,
) -> BTreeMap<String, Tensor<B::InnerBackend, 2>> {
    struct Matrices<B: Differentiable>(BTreeMap<String, Tensor<B::InnerBackend, 2>>);
    impl<B: Differentiable> EachTensor<B> for Matrices<B> {
        fn call<const D: usize>(&mut self, name: String, tensor: Tensor<B, D>) {
            if let [rows, columns] = tensor.dims()[..] {
                self.0.insert(name, tensor.inner().reshape([rows, columns]));
            }
        }
    }
    visit(module, Matrices::<B>(BTreeMap::new())).0
}

/// The names of the parameters that require a gradient and have none in `gradients`.
pub fn without_gradient<B: Differentiable, M: Module<B>, G>(
    module: &M,
    gradients: &BTreeMap<String, G>,
) -> Vec<String> {
    struct Missing<'a, G> {
        gradients: &'a BTreeMap<String, G>,
        names: Vec<String>,
    }
    impl<B: Differentiable, G> EachTensor<B> for Missing<'_, G> {
        fn call<const D: usize>(&mut self, name: String, tensor: Tensor<B, D>) {
            if tensor.is_require_grad() && !self.gradients.contains_key(&name) {
                self.names.push(name);
            }
        }
    }
    visit(module, Missing { gradients, names: Vec::new() }).names
}

/// A change of parameters, given each one's name, shape, and value flattened to one dimension.
pub trait Change<B: Backend> {
    /// The new value, of the same length. The old one is handed over, so that a backend may write
    /// in its place.
    fn change(&mut self, name: &str, shape: &[usize], flat: Tensor<B, 1>) -> Tensor<B, 1>;
}

/// Applies `change` to every parameter.
pub fn map_named<B: Backend, M: Module<B>>(module: M, change: &mut impl Change<B>) -> M {
    struct Map<'a, F> {
        path: Path,
        change: &'a mut F,
    }
    impl<B: Backend, F: Change<B>> ModuleMapper<B> for Map<'_, F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let (id, tensor, mapper) = param.consume();
            let (shape, tracked) = (tensor.shape(), tensor.is_require_grad());
            let flat = tensor.detach().reshape([shape.num_elements()]);
            let new = self.change.change(&self.path.name(), &shape, flat).reshape(shape.clone());
            Param::from_mapped_value(id, new.detach().set_require_grad(tracked), mapper)
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
    }
    module.map(&mut Map { path: Path::default(), change })
}

/// Puts `tensors` in the place of the module's parameters.
///
/// # Errors
/// Lists, by name, tensors that are missing, of another shape, or not part of the network.
pub fn assign<B: Backend, M: Module<B>>(module: M, tensors: &NamedTensors) -> Result<M> {
    struct Assign<'a, B: Backend> {
        tensors: &'a NamedTensors,
        device: B::Device,
    }
    impl<B: Backend> Change<B> for Assign<'_, B> {
        fn change(&mut self, name: &str, _: &[usize], flat: Tensor<B, 1>) -> Tensor<B, 1> {
            let data = self.tensors[name].clone();
            let count = flat.shape().num_elements();
            float_tensor(TensorData { shape: [count].into(), ..data }, &self.device)
        }
    }

    let own = export(&module);
    let mut problems = Vec::new();
    for (name, data) in &own {
        match tensors.get(name) {
            None => problems.push(format!("{name} is missing")),
            Some(t) if t.shape != data.shape => problems.push(format!(
                "{name} is {:?}, expected {:?}",
                &t.shape[..],
                &data.shape[..]
            )),
            Some(_) => {}
        }
    }
    problems.extend(
        tensors.keys().filter(|name| !own.contains_key(*name)).map(|n| format!("{n} is unknown")),
    );
    if !problems.is_empty() {
        bail!("the parameters do not fit the network: {}", problems.join(", "));
    }
    let device = module.devices().into_iter().next().unwrap_or_default();
    Ok(map_named(module, &mut Assign::<B> { tensors, device }))
}

/// Stops gradients from being formed for parameters whose part is not `trained`.
pub fn freeze<B: Backend, M: Module<B>>(module: M, trained: impl Fn(Part) -> bool) -> M {
    struct Freeze<F> {
        path: Path,
        trained: F,
    }
    impl<B: Backend, F: Fn(Part) -> bool> ModuleMapper<B> for Freeze<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let tracked = (self.trained)(Part::of(&self.path.name()));
            param.set_require_grad(tracked)
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
    }
    module.map(&mut Freeze { path: Path::default(), trained })
}
